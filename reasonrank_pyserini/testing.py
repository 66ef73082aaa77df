"""Contract checks for the seams: run them over an implementation of your own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import InputError
from .first_stage import FirstStage
from .types import Query

_EMPTY = (Query("contract-empty", ""), Query("contract-blank", " \t"))


def check_first_stage(stage: FirstStage, queries: Sequence[Query], k: int = 10) -> None:
    """Raises AssertionError with the broken promise unless `stage` keeps its contract on `queries`.

    One list per query in their order, at most k, no docid twice, finite float scores that never rise; a
    longer list begins with the shorter one, query order changes nothing, empty queries give empty lists.
    """
    asked = [_EMPTY[0], *queries, _EMPTY[1]]
    answers = stage.candidates(asked, k)
    _holds(len(answers) == len(asked), f"{len(answers)} lists for {len(asked)} queries")
    _holds(not answers[0] and not answers[-1], "an empty query was given candidates")
    for query, hits in zip(asked, answers, strict=True):
        ids = [hit.id for hit in hits]
        scores = [hit.score for hit in hits]
        _holds(len(hits) <= k, f"query {query.id}: {len(hits)} candidates for k = {k}")
        _holds(len(set(ids)) == len(ids), f"query {query.id}: a docid twice")
        _holds(all(type(docid) is str for docid in ids), f"query {query.id}: a docid that is not a str")
        _holds(
            all(type(score) is float for score in scores), f"query {query.id}: a score that is not a float"
        )
        _holds(all(map(math.isfinite, scores)), f"query {query.id}: a score that is not finite")
        _holds(scores == sorted(scores, reverse=True), f"query {query.id}: scores rise")
    again = stage.candidates(asked[::-1], k)[::-1]
    _holds(
        [_ids(hits) for hits in again] == [_ids(hits) for hits in answers], "query order changed the lists"
    )
    first = [_ids(hits)[:1] for hits in answers]
    _holds([_ids(hits) for hits in stage.candidates(asked, 1)] == first, "k = 1 is not the head of the list")
    _holds(stage.candidates([], k) == [], "no queries were given lists")
    _refuses_zero(stage, asked)


def _refuses_zero(stage: FirstStage, queries: Sequence[Query]) -> None:
    try:
        stage.candidates(queries, 0)
    except InputError:
        return
    raise AssertionError("k = 0 was not refused with InputError")


def _ids(hits: Sequence[object]) -> list[str]:
    return [str(getattr(hit, "id", "")) for hit in hits]


def _holds(condition: bool, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)
