"""What a reranking works on: queries with their candidates, from a run or from requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Collection as Ids
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ..datasets import ChecksIds, Docstore
from ..errors import InputError, UnknownNameError
from ..files.caches import file_sha256, fingerprint
from ..files.given_records import as_query
from ..files.lines import check_file, printable, quoted
from ..files.requests import Request, read_requests
from ..files.trec import check_ids
from ..first_stages.base import SERVERS, Excluded, Run, RunFirstStage
from ..lazy import resolve
from ..ranking.candidates import as_candidates
from ..types import Candidate, Document, Query, ScoredDocument
from .collection import Collection
from .run_source import GivenRun, RunSource, read_source, topics_by_id

Rename = Callable[[Ids[str]], Mapping[str, str]]
"""Docids of another style to those of the corpus; what needs no change is left out."""
RequestSource = str | Path | Sequence[tuple[Query, Iterable[Any]]]
"""A request file, or queries with candidates, best first (see `candidates.as_candidates`)."""


@dataclass(frozen=True, slots=True)
class RerankInput:
    """The queries to rerank in output order, how many candidates each has, and a way to read them with texts,
    those with the most candidates first where that is known before.

    `reread`: `load` gives every text again, so results can be written with them. `dropped` counts the candidates
    of the input that are in no window: `deduplicated`, `excluded`.
    """

    queries: tuple[Query, ...]
    counts: Mapping[str, int]
    load: Callable[[], Iterator[tuple[Query, tuple[Candidate, ...]]]]
    inputs: Mapping[str, str]
    notes: tuple[str, ...] = ()
    reread: bool = False
    dropped: Mapping[str, int] = field(default_factory=dict)


def select(queries: Sequence[Query], limit: int | None, ids: Ids[str] | None) -> tuple[Query, ...]:
    """The queries with those ids (None: all) in their own order, then the first `limit`."""
    if ids is not None:
        wanted, known = set(ids), {query.id for query in queries}
        if unknown := sorted(wanted - known):
            raise UnknownNameError("query", unknown[0], known)
        queries = [query for query in queries if query.id in wanted]
    return tuple(queries[:limit])


def from_requests(
    source: RequestSource,
    documents: Docstore | None = None,
    *,
    limit: int | None = None,
    ids: Ids[str] | None = None,
) -> RerankInput:
    """The requests of a file, whose texts are read again, request by request, when they are needed; or requests in
    memory, where `documents` gives the text of hits that carry none."""
    given = None if isinstance(source, str | Path) else _in_memory(source, documents)

    def requests() -> Iterator[Request]:
        return read_requests(source) if isinstance(source, str | Path) else iter(given or ())

    counts, duplicates, queries = {}, 0, []
    for request in requests():
        queries.append(request.query)
        counts[request.query.id] = len(request.candidates)
        duplicates += request.duplicates
        check_ids(request.query.id, [candidate.id for candidate in request.candidates])
    chosen = select(queries, limit, ids)
    wanted = {query.id for query in chosen}

    def load() -> Iterator[tuple[Query, tuple[Candidate, ...]]]:
        return ((r.query, r.candidates) for r in requests() if r.query.id in wanted)

    repeats = (f"{duplicates} repeated docids dropped (first kept)",) if duplicates else ()
    notes = (*repeats, *_note_on_empty(chosen))
    hashes = {
        "requests": file_sha256(source) if isinstance(source, str | Path) else _fingerprint(given or ())
    }
    return RerankInput(chosen, counts, load, hashes, notes, reread=True, dropped={"deduplicated": duplicates})


def from_server(
    url: str, collection: Collection, *, depth: int, limit: int | None = None, ids: Ids[str] | None = None
) -> RerankInput:
    """The collection's queries with the first `depth` candidates, and their texts, of the REST server's index at `url`.

    Excluded documents do not count. Texts are kept in memory.
    """
    stage = resolve("first stage", "pyserini", SERVERS)(url)
    queries = select(collection.topics(), limit, ids)
    return from_requests(stage.requests(queries, depth, collection.excluded))


def _in_memory(source: Sequence[tuple[Query, Iterable[Any]]], documents: Docstore | None) -> list[Request]:
    found: dict[str, Request] = {}
    for given, items in source:
        query = as_query(given)
        if query.id in found:
            raise InputError(f"query id {query.id!r} is in `requests` twice: make ids unique")
        listed = list(items)
        candidates = as_candidates(listed, documents)
        found[query.id] = Request(query, candidates, len(listed) - len(candidates))
    if not found:
        raise InputError("`requests` is empty: give queries with their candidates")
    return list(found.values())


def _fingerprint(requests: Iterable[Request]) -> str:
    """The sha256 of requests in memory: ids, texts, scores."""
    return fingerprint(
        {
            "requests": [
                [
                    r.query.id,
                    r.query.text,
                    [[c.id, c.document.title, c.document.text, c.score] for c in r.candidates],
                ]
                for r in requests
            ]
        }
    )


def _read(source: RunSource, *, by_score: bool = True) -> tuple[GivenRun, str]:
    """The run and the sha256 of its file or its content."""
    if isinstance(source, str | Path):
        path = check_file(source, "run file")
        return read_source(path, by_score=by_score), file_sha256(path)
    given = read_source(source, by_score=by_score)
    return given, fingerprint(given.content)


def from_run(
    candidates: RunSource,
    collection: Collection | None,
    *,
    depth: int,
    texts: bool = True,
    limit: int | None = None,
    ids: Ids[str] | None = None,
    by_score: bool = True,
) -> RerankInput:
    """A run's queries in the order of the run; every candidate that will be shown is checked to exist first.

    Without `texts` queries and candidates are known by id alone (an oracle reads neither), and the collection is for
    its exclusions. `by_score` as for `read_source`. Raises InputError for queries without topic and candidates
    without text, before any model is loaded. Texts are read when a query starts and are not kept: a hundred thousand
    queries have gigabytes of them.
    """
    shown = collection if texts else None
    topics, documents = (shown.topics(), shown.documents()) if shown is not None else (None, None)
    hashes = collection.hashes() if collection is not None else {}
    first, sha256 = _read(candidates, by_score=by_score)
    run = _renamed(first.run, shown.rename) if shown is not None else first.run
    known = topics_by_id(topics, run)
    lacking = [id for id in run if id not in known]
    if lacking and ids is None:
        raise InputError(
            f"{len(lacking)} of {len(run)} queries of {first.name} have no topic, e.g. {quoted(lacking[0])} "
            f"(topics have {', '.join(map(quoted, islice(known, 3))) or 'none'}): "
            "give the `topics` that the run was made from"
        )
    queries = select([known[id] for id in run if id in known], limit, ids)
    excluded = collection.excluded if collection is not None else None
    found = _without_excluded(run, excluded, [query.id for query in queries])
    if shown is not None:
        _check_texts(queries, found, shown, depth)

    def load() -> Iterator[tuple[Query, tuple[Candidate, ...]]]:
        longest_first = sorted(queries, key=lambda query: -len(found[query.id]))
        return ((query, _with_texts(found[query.id], documents, depth)) for query in longest_first)

    dropped = sum(len(run[q.id]) for q in queries) - sum(map(len, found.values()))
    notes = (*first.notes, f"{dropped} excluded candidates dropped") if dropped else first.notes
    notes += _note_on_empty(queries) if shown is not None else ()
    return RerankInput(
        queries, {id: len(hits) for id, hits in found.items()}, load, {"run": sha256, **hashes}, notes,
        dropped={"deduplicated": sum(first.repeated.get(q.id, 0) for q in queries), "excluded": dropped},
    )  # fmt: skip


def _note_on_empty(queries: Sequence[Query]) -> tuple[str, ...]:
    """A line where queries have no text, which leaves a model nothing to rank by."""
    empty = [query.id for query in queries if not query.text.strip()]
    return (
        (f"{len(empty)} of {len(queries)} queries have no text, e.g. {printable(empty[0])}",) if empty else ()
    )


def clean_run(source: RunSource, excluded: Excluded | None) -> Run:
    """A run as a reranking sees it: each docid once, without the excluded ones."""
    run = read_source(source).run
    return _without_excluded(run, excluded, list(run))


def _without_excluded(run: Run, excluded: Excluded | None, ids: Sequence[str]) -> Run:
    longest = max((len(hits) for hits in run.values()), default=0) or 1
    hits = RunFirstStage(run, excluded).candidates([Query(id, "") for id in ids], longest)
    return dict(zip(ids, hits, strict=True))


def _check_texts(queries: Sequence[Query], found: Run, collection: Collection, depth: int) -> None:
    """InputError when a candidate that will be shown has no text.

    A docstore that cannot look for ids alone reads every text here, and again when its query starts.
    """
    documents = collection.documents()
    shown = {hit.id: query.id for query in reversed(queries) for hit in found[query.id][:depth]}
    ids = list(shown)
    for begin in range(0, len(ids), 2000):
        part = ids[begin : begin + 2000]
        present = _present(documents, part)
        missing = next((id for id in part if id not in present), None)
        if missing is not None:
            hits = [hit.id for hit in found[shown[missing]][:depth]]
            there = _present(documents, hits)
            count = sum(hit not in there for hit in hits)
            raise InputError(
                f"{count} of {len(hits)} candidates of query {shown[missing]} are not in {collection.name}, "
                f"e.g. {quoted(missing)}: is it the corpus that the run was made from?"
            )


def _present(documents: Docstore, ids: Sequence[str]) -> Ids[str]:
    return documents.present(ids) if isinstance(documents, ChecksIds) else documents.get_many(ids).keys()


def _renamed(run: Run, rename: Rename) -> dict[str, list[ScoredDocument]]:
    """The run with the docids of its corpus."""
    names = rename({hit.id for hits in run.values() for hit in hits})
    return {
        query: [ScoredDocument(names.get(hit.id, hit.id), hit.score) for hit in hits]
        for query, hits in run.items()
    }


def _with_texts(
    hits: Sequence[ScoredDocument], documents: Docstore | None, depth: int
) -> tuple[Candidate, ...]:
    """Candidates with texts for the first `depth`; the tail keeps its ids only."""
    shown = [hit.id for hit in hits[:depth]] if documents is not None else []
    texts = documents.get_many(shown) if documents is not None and shown else {}
    if missing := [id for id in shown if id not in texts]:
        raise InputError(
            f"candidate {missing[0]!r} has no text any more: did the corpus change during the run?"
        )
    return tuple(
        Candidate(texts.get(hit.id) or Document(hit.id, ""), hit.score, rank)
        for rank, hit in enumerate(hits, 1)
    )
