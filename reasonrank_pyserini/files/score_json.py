"""Runs as BRIGHT's score files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..types import ScoredDocument
from .atomic import atomic_open
from .decreasing import strictly_decreasing

Run = Mapping[str, Sequence[ScoredDocument] | Sequence[str]]


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
