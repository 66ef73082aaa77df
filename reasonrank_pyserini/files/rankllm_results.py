"""Request and result files going out, in RankLLM's JSONL; whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError
from ..types import Candidate, Document, Query, Ranking, ScoredDocument
from .atomic import atomic_open
from .requests import Request


class Documents(Protocol):
    """What is needed of a docstore here."""

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]: ...


def write_results(path: str | Path, rankings: Iterable[Ranking]) -> None:
    """Writes rankings as RankLLM results: the final order, the scores n, n-1, ..., 1.

    First-stage scores are not repeated: a reader that sorts by score must find the final order.
    """
    with atomic_open(path) as stream:
        for ranking in rankings:
            count = len(ranking.candidates)
            scores = [float(count - place) for place in range(count)]
            stream.write(_line(ranking.query, ranking.candidates, scores))


def write_requests(path: str | Path, requests: Iterable[Request]) -> None:
    """Writes requests in RankLLM's layout, order and scores as they are; `read_requests` gives them back."""
    with atomic_open(path) as stream:
        for request in requests:
            scores = [candidate.score for candidate in request.candidates]
            stream.write(_line(request.query, request.candidates, scores))


def make_requests(
    run: Mapping[str, Sequence[ScoredDocument]], topics: Iterable[Query], documents: Documents
) -> Iterator[Request]:
    """A request per query of the run, in the order of the topics; of a repeated docid the first stays.

    Raises InputError for a query of the run without topic, and for a document without text.
    """
    queries = {query.id: query for query in topics}
    if unknown := [id for id in run if id not in queries]:
        raise InputError(
            f"{len(unknown)} of {len(run)} queries of the run have no topic, e.g. {unknown[0]!r}"
        )
    return (_request(queries[id], run[id], documents) for id in queries if id in run)


def _request(query: Query, lines: Sequence[ScoredDocument], documents: Documents) -> Request:
    scores: dict[str, float] = {}
    for line in lines:
        scores.setdefault(line.id, line.score)
    found = documents.get_many(scores)
    if missing := [id for id in scores if id not in found]:
        raise InputError(
            f"{len(missing)} of {len(scores)} documents of query {query.id!r} are not in the corpus, "
            f"e.g. {missing[0]!r}: is it the corpus that the run was made from?"
        )
    candidates = (Candidate(found[id], score, rank) for rank, (id, score) in enumerate(scores.items(), 1))
    return Request(query, tuple(candidates), len(lines) - len(scores))


def _line(query: Query, candidates: Sequence[Candidate], scores: Sequence[float]) -> str:
    listed = zip(candidates, scores, strict=True)
    record = {
        "query": {"text": query.text, "qid": query.id},
        "candidates": [{"docid": c.id, "score": score, "doc": _doc(c.document)} for c, score in listed],
    }
    return json.dumps(record, ensure_ascii=True) + "\n"


def _doc(document: Document) -> dict[str, Any]:
    return {**({"title": document.title} if document.title else {}), "contents": document.text}
