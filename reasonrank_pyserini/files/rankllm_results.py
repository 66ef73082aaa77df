"""Request and result files in RankLLM's JSONL, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..types import Candidate, Document, Query, Ranking
from .atomic import atomic_open
from .requests import Request


def write_results(path: str | Path, rankings: Iterable[Ranking]) -> None:
    """Write rankings as RankLLM results: the final order with the scores n, n-1, ..., 1.

    First-stage scores are left out, because a reader that sorts by score must get the final order.
    """
    with atomic_open(path) as stream:
        for ranking in rankings:
            count = len(ranking.candidates)
            scores = [float(count - place) for place in range(count)]
            stream.write(_line(ranking.query, ranking.candidates, scores))


def write_requests(path: str | Path, requests: Iterable[Request]) -> None:
    """Write requests in RankLLM's layout, order and scores unchanged, as `read_requests` reads them."""
    with atomic_open(path) as stream:
        for request in requests:
            scores = [candidate.score for candidate in request.candidates]
            stream.write(_line(request.query, request.candidates, scores))


def _line(query: Query, candidates: Sequence[Candidate], scores: Sequence[float]) -> str:
    listed = zip(candidates, scores, strict=True)
    record = {
        "query": {"text": query.text, "qid": query.id},
        "candidates": [{"docid": c.id, "score": score, "doc": _doc(c.document)} for c, score in listed],
    }
    return json.dumps(record, ensure_ascii=True) + "\n"


def _doc(document: Document) -> dict[str, Any]:
    return {**({"title": document.title} if document.title else {}), "contents": document.text}
