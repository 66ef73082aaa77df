"""What a reranking works on: queries with their candidates, from a run or a request file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..datasets import Docstore
from ..errors import InputError, UnknownNameError
from ..files.caches import file_sha256
from ..files.lines import check_file
from ..files.requests import read_requests
from ..files.trec import check_ids, read_run_report
from ..first_stages.base import Run, RunFirstStage
from ..types import Candidate, Document, Query, ScoredDocument

Excluded = Callable[[str], Collection[str]]
Rename = Callable[[Collection[str]], Mapping[str, str]]
"""Docids of another style to those of the corpus; what needs no change is left out."""


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


def select(queries: Sequence[Query], limit: int | None, ids: str | None) -> tuple[Query, ...]:
    """The queries whose ids are listed (comma-separated, in their own order), then the first `limit`."""
    if ids is not None:
        wanted = {id.strip() for id in ids.split(",") if id.strip()}
        known = {query.id for query in queries}
        if unknown := sorted(wanted - known):
            raise UnknownNameError("query", unknown[0], known)
        queries = [query for query in queries if query.id in wanted]
    return tuple(queries[:limit])


def from_requests(path: Path, limit: int | None, ids: str | None) -> RerankInput:
    """The requests of a file; texts are read again, request by request, when they are needed."""
    counts, duplicates, queries = {}, 0, []
    for request in read_requests(path):
        queries.append(request.query)
        counts[request.query.id] = len(request.candidates)
        duplicates += request.duplicates
        check_ids(request.query.id, [candidate.id for candidate in request.candidates])
    chosen = select(queries, limit, ids)
    wanted = {query.id for query in chosen}

    def load() -> Iterator[tuple[Query, tuple[Candidate, ...]]]:
        return ((r.query, r.candidates) for r in read_requests(path) if r.query.id in wanted)

    notes = (f"{duplicates} repeated docids dropped (first kept)",) if duplicates else ()
    hashes = {"requests": file_sha256(path)}
    return RerankInput(chosen, counts, load, hashes, notes, reread=True, dropped={"deduplicated": duplicates})


def from_run(
    path: Path,
    topics: Sequence[Query] | None,
    documents: Docstore | None,
    *,
    source: str,
    depth: int,
    excluded: Excluded | None,
    limit: int | None = None,
    ids: str | None = None,
    shard: tuple[int, int] = (1, 1),
    rename: Rename | None = None,
    hashes: Mapping[str, str],
) -> RerankInput:
    """A run's queries in the order of the run. Every candidate that will be shown is checked to exist first.

    Without `topics` the queries are known by id alone, without `documents` the candidates are (an oracle reads
    neither). `shard` (i, n) leaves every n-th query, from the i-th. Raises InputError for queries without topic
    and candidates without text, before any model is loaded.
    """
    report = read_run_report(check_file(path, "run file"))
    run = _renamed(report.run, rename) if rename is not None else report.run
    known = {query.id: query for query in topics} if topics is not None else {id: Query(id, "") for id in run}
    lacking = [id for id in run if id not in known]
    if lacking and ids is None:
        raise InputError(
            f"{len(lacking)} of {len(run)} queries of {path} have no topic, e.g. {lacking[0]!r}: "
            "give the --topics that the run was made from"
        )
    queries = select([known[id] for id in run if id in known], limit, ids)[shard[0] - 1 :: shard[1]]
    stage = RunFirstStage(run, excluded)
    longest = max((len(hits) for hits in run.values()), default=0) or 1
    found = dict(zip((q.id for q in queries), stage.candidates(queries, longest), strict=True))
    if documents is not None:
        _check_texts(queries, found, documents, depth, source)

    def load() -> Iterator[tuple[Query, tuple[Candidate, ...]]]:
        longest_first = sorted(queries, key=lambda query: -len(found[query.id]))
        return ((query, _with_texts(found[query.id], documents, depth)) for query in longest_first)

    dropped = sum(len(run[q.id]) for q in queries) - sum(map(len, found.values()))
    notes = [*report.notes]
    if dropped:
        notes.append(f"{dropped} excluded candidates dropped")
    counts = {id: len(hits) for id, hits in found.items()}
    return RerankInput(
        queries, counts, load, {"run": file_sha256(path), **hashes}, tuple(notes),
        dropped={"deduplicated": sum(len(report.repeated.get(q.id, ())) for q in queries), "excluded": dropped},
    )  # fmt: skip


def clean_run(path: Path, excluded: Excluded | None, rename: Rename | None = None) -> Run:
    """A run file as a reranking sees it: docids of the corpus, each once, without the excluded ones."""
    report = read_run_report(path)
    run = _renamed(report.run, rename) if rename is not None else report.run
    longest = max((len(hits) for hits in run.values()), default=0) or 1
    hits = RunFirstStage(run, excluded).candidates([Query(id, "") for id in run], longest)
    return dict(zip(run, hits, strict=True))


def _check_texts(
    queries: Sequence[Query],
    found: Mapping[str, Sequence[ScoredDocument]],
    documents: Docstore,
    depth: int,
    source: str,
) -> None:
    shown = {hit.id: query.id for query in reversed(queries) for hit in found[query.id][:depth]}
    ids = list(shown)
    for begin in range(0, len(ids), 2000):
        part = ids[begin : begin + 2000]
        present = documents.get_many(part)
        missing = next((id for id in part if id not in present), None)
        if missing is not None:
            hits = [hit.id for hit in found[shown[missing]][:depth]]
            texts = documents.get_many(hits)
            count = sum(hit not in texts for hit in hits)
            raise InputError(
                f"{count} of {len(hits)} candidates of query {shown[missing]} are not in {source}, "
                f"e.g. {missing!r}: is it the corpus that the run was made from?"
            )


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
    texts = documents.get_many([hit.id for hit in hits[:depth]]) if documents is not None else {}
    return tuple(
        Candidate(texts.get(hit.id) or Document(hit.id, ""), hit.score, rank)
        for rank, hit in enumerate(hits, 1)
    )
