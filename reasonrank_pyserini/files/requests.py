"""Request files: queries with their candidates and texts, in RankLLM's JSONL and similar formats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from ..types import Candidate, Document, Query
from .document_records import (
    CANDIDATE_LISTS,
    QUERY_IDS,
    QUERY_TEXTS,
    as_id,
    fields_of,
    find_document,
    find_id,
    find_text,
    record_of,
)
from .lines import check_file, json_type, read_objects

DOCIDS = ("docid", "pid", "id", "_id", "doc_id")
SCORES = ("score", "bm25_score")


@dataclass(frozen=True, slots=True)
class Request:
    """A query and what a first stage found, best first; `duplicates` counts dropped repeats of a docid."""

    query: Query
    candidates: tuple[Candidate, ...]
    duplicates: int = 0


def read_requests(path: str | Path) -> Iterator[Request]:
    """The requests of a file, in its order, one at a time: JSONL, plain or gzip, or one JSON array.

    RankLLM's layout is {"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc"}]}; `doc` is a
    record, a JSON record as a string, or the text itself. AcuRank's (qid, q_text, bm25_results) and RankGPT's
    (query, hits) are read too. Candidates keep their order whatever their scores; of a repeated docid the
    first stays. A request without qid gets its number in the file, from 1. Raises FileFormatError for bad
    lines, repeated qids and a file without requests, when the iteration reaches them.
    """
    return _requests(check_file(path, "request file"))


def _requests(path: Path) -> Iterator[Request]:
    first: dict[str, int] = {}
    for number, (line, record) in enumerate(read_objects(path), 1):
        request = _request(path, line, record, number)
        id = request.query.id
        if id in first:
            raise FileFormatError(path, line, f"repeated query id {id!r} (first on line {first[id]})")
        first[id] = line
        yield request
    if not first:
        raise FileFormatError(
            path, None, 'has no requests; give JSONL, one {"query": ..., "candidates": [...]} a line'
        )


def _request(path: Path, line: int, record: Mapping[str, Any], number: int) -> Request:
    name = next((name for name in CANDIDATE_LISTS if name in record), None)
    if name is None:
        expected = ", ".join(CANDIDATE_LISTS)
        raise FileFormatError(path, line, f"no candidates: expected one of {expected}; {fields_of(record)}")
    items = record[name]
    if not isinstance(items, list):
        raise FileFormatError(path, line, f"field {name!r} holds {json_type(items)}, not a list")
    for position, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise FileFormatError(path, line, f"candidate {position} is {json_type(item)}, not an object")
    found = [_candidate(path, line, item, position) for position, item in enumerate(items, 1)]
    unique = {candidate.id: candidate for candidate in reversed(found)}
    kept = sorted(unique.values(), key=lambda candidate: candidate.rank)
    ranked = tuple(Candidate(c.document, c.score, rank) for rank, c in enumerate(kept, 1))
    return Request(_query(path, line, record, items, number), ranked, len(found) - len(ranked))


def _query(
    path: Path, line: int, record: Mapping[str, Any], items: Sequence[Mapping[str, Any]], number: int
) -> Query:
    query = record.get("query")
    if isinstance(query, dict):
        text = find_text(path, line, query, QUERY_TEXTS)
    else:
        text = find_text(path, line, record, ("query", "q_text", "text"))
    for holder in (query, record, *items[:1]):
        names = QUERY_IDS if holder is query else ("qid", "query_id")
        if isinstance(holder, dict) and any(holder.get(name) is not None for name in names):
            return Query(find_id(path, line, holder, names), text)
    return Query(str(number), text)


def _candidate(path: Path, line: int, item: Mapping[str, Any], position: int) -> Candidate:
    name = next((name for name in DOCIDS if item.get(name) is not None), None)
    if name is None:
        raise FileFormatError(path, line, f"candidate {position} has no docid")
    id = as_id(path, line, name, item[name])
    return Candidate(_document(path, line, id, item), _score(path, line, id, item), position)


def _document(path: Path, line: int, id: str, item: Mapping[str, Any]) -> Document:
    doc = item.get("doc")
    if isinstance(doc, str):
        doc = record_of(doc)
    if doc is None:
        doc = item
    if not isinstance(doc, dict):
        raise FileFormatError(
            path, line, f"candidate {id!r}: 'doc' holds {json_type(doc)}, not a record or a text"
        )
    try:
        return find_document(path, line, id, doc)
    except FileFormatError as error:
        raise FileFormatError(path, line, f"candidate {id!r}: {error.problem}") from error


def _score(path: Path, line: int, id: str, item: Mapping[str, Any]) -> float:
    given = next((item[name] for name in SCORES if item.get(name) is not None), 0.0)
    try:
        score = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise FileFormatError(
            path, line, f"candidate {id!r}: score {str(given)[:40]!r} is not a finite number"
        )
    return score
