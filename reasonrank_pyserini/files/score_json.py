"""Runs as BRIGHT's score files: one JSON object `{query id: {document id: score}}`, written and read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from ..types import ScoredDocument
from .atomic import atomic_open
from .decreasing import strictly_decreasing
from .lines import json_type, printable, quoted
from .trec import RunReport, check_ids

Run = Mapping[str, Sequence[ScoredDocument] | Sequence[str]]
FORM = "{query id: {document id: score}}"
_START = re.compile(rb'\s*\{\s*(?:["}]|$)')


def is_score_json(line: bytes) -> bool:
    """Whether a run file's first line starts a JSON object; a TREC run's query id may start with a brace, too."""
    return bool(_START.match(line)) and line.split(None, 2)[1:2] != [b"Q0"]


def read_score_json(path: str | Path, numbered: Iterable[tuple[int, bytes]]) -> RunReport:
    """The run in the numbered lines of that file, order and scores as they stand.

    Of a document named twice for a query the first counts, as in a TREC run; a query may have no documents.
    FileFormatError, with the line where the JSON itself is at fault, for other content.
    """
    by_query: dict[str, list[ScoredDocument]] = {}
    repeated: dict[str, list[ScoredDocument]] = {}
    for query, scores in _pairs(path, _parsed(path, numbered), "the file"):
        if query in by_query:
            raise FileFormatError(
                path, None, f"query {quoted(query)} is in it twice: join the two or delete one"
            )
        listed = [_scored(path, query, *pair) for pair in _pairs(path, scores, f"query {quoted(query)}")]
        kept = {hit.id: hit for hit in reversed(listed)}
        by_query[query] = hits = list({hit.id: kept[hit.id] for hit in listed}.values())
        if len(hits) < len(listed):
            repeated[query] = [hit for hit in listed if hit is not kept[hit.id]]
        _check_ids(path, query, hits)
    if not any(by_query.values()):
        raise FileFormatError(path, None, f"it has no scores; a run in JSON is one object {FORM}")
    duplicates = sum(map(len, repeated.values()))
    count = sum(map(len, by_query.values())) + duplicates
    first = next(
        (f"query {printable(q)}, document {printable(hits[0].id)}" for q, hits in repeated.items()), ""
    )
    return RunReport(str(path), by_query, count, duplicates, first, repeated)


def score_json(run: Run) -> dict[str, dict[str, float]]:
    """`{query id: {document id: score}}`, BRIGHT's score file, documents in the order of the lists.

    A score that would tie with or exceed its predecessor in float32 is moved just below it, so that no
    evaluation reorders the list; scores of plain ids count down to 1. Raises InputError for a document listed
    twice and for scores that are not finite numbers.
    """
    return {query: _scores(query, documents) for query, documents in run.items()}


def write_score_json(path: str | Path, run: Run) -> None:
    """`score_json` as a file that appears whole or not at all; `.gz` is compressed, `-` standard output."""
    text = json.dumps(score_json(run), allow_nan=False)
    with atomic_open(path) as stream:
        stream.write(text + "\n")


def _parsed(path: str | Path, numbered: Iterable[tuple[int, bytes]]) -> Any:
    """The JSON value of the lines, an object as a tuple of its pairs, so that no repeated key is lost."""
    lines = list(numbered)
    try:
        return json.loads(b"\n".join(line for _, line in lines).decode(), object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        number = lines[error.lineno - 1][0]
        if error.msg == "Extra data":
            raise FileFormatError(
                path, number, f"text after the JSON object; a run in JSON is one object {FORM}"
            ) from error
        raise FileFormatError(path, number, f"not JSON: {error.msg} (column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, None, f"not usable JSON: {str(error).splitlines()[0]}") from error


def _pairs(path: str | Path, value: Any, what: str) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, tuple):
        raise FileFormatError(
            path, None, f"{what} has {json_type(value)}, not an object; a run in JSON is one object {FORM}"
        )
    return value


def _scored(path: str | Path, query: str, document: str, score: Any) -> ScoredDocument:
    try:
        if type(score) in (int, float) and math.isfinite(value := float(score)):
            return ScoredDocument(document, value)
        found = str(score) if isinstance(score, float) else json_type(score)
    except OverflowError:
        found = "too large"
    where = f"query {quoted(query)}, document {quoted(document)}"
    raise FileFormatError(path, None, f"{where}: the score is {found}, not a finite number")


def _check_ids(path: str | Path, query: str, hits: Sequence[ScoredDocument]) -> None:
    try:
        check_ids(query, [hit.id for hit in hits])
    except InputError as error:
        raise FileFormatError(path, None, str(error)) from error


def _scores(query: str, documents: Sequence[ScoredDocument | str]) -> dict[str, float]:
    given = [
        ScoredDocument(one, float(len(documents) - at)) if isinstance(one, str) else one
        for at, one in enumerate(documents)
    ]
    if len({one.id for one in given}) < len(given):
        raise InputError(f"query {query!r} lists a document twice; a score file lists each once")
    try:
        scores = list(strictly_decreasing(one.score for one in given))
    except ValueError as error:
        raise InputError(f"cannot write the scores of query {query!r}: {error}") from error
    return {one.id: score for one, score in zip(given, scores, strict=True)}
