"""Scores of a reranking before and after, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...scoring import Scores, score
from ..comparison import compare
from ..statistics import Interval, bootstrap_mean, stratified_mean
from .report_inputs import Result
from .report_sources import Sources

MEASURES = ("nDCG@10", "AP", "RR@10")
"""Queries are sorted by the first, and helped or hurt by it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the same judged queries before and after; `left_out` counts judged queries not reranked here."""

    before: Scores
    after: Scores
    left_out: int = 0


def score_result(result: Result, sources: Sources) -> Scored | None:
    """The scores over the queries that were reranked and have judgements; None without any."""
    ids = {query.id for query in result.queries}
    qrels = {id: grades for id, grades in (sources.qrels or {}).items() if id in ids and grades}
    if not qrels:
        return None
    given = sources.first_stage or {}
    before = {one.id: given.get(one.id, one.before) for one in result.queries}
    after = {one.id: one.after for one in result.queries}
    left_out = len(sources.qrels or {}) - len(qrels)
    return Scored(score(qrels, before, MEASURES), score(qrels, after, MEASURES), left_out)


def summary(scored: Scored) -> list[dict[str, Any]]:
    """One row per measure: means, difference, their bootstrap 95% intervals, queries won, tied and lost."""
    return [
        {
            "measure": name,
            "queries": len(scored.after.per_query),
            "before": _rounded(bootstrap_mean(_values(scored.before, name))),
            "after": _rounded(bootstrap_mean(_values(scored.after, name))),
            "difference": _rounded(Interval(one.difference, one.low, one.high)),
            "p": one.p_randomisation,
            "counts": [one.wins, one.ties, one.losses],
        }
        for name, one in compare(scored.after, scored.before).items()
    ]


def mean_of_means(several: Mapping[str, Scored]) -> dict[str, list[float]]:
    """The first measure's mean over the results, each with equal weight, with intervals: before, after, difference."""
    before = {name: _values(one.before, MEASURES[0]) for name, one in several.items()}
    after = {name: _values(one.after, MEASURES[0]) for name, one in several.items()}
    difference = {
        name: [mine - theirs for mine, theirs in zip(after[name], before[name], strict=True)]
        for name in several
    }
    groups = {"before": before, "after": after, "difference": difference}
    return {name: _rounded(stratified_mean(values)) for name, values in groups.items()}


def pooled(several: Sequence[Scored]) -> Scored:
    """All queries of several results as one; a query counts once in each."""
    return Scored(_pooled([one.before for one in several]), _pooled([one.after for one in several]))


def _pooled(several: Sequence[Scores]) -> Scores:
    per_query = {
        f"{number}/{id}": values for number, one in enumerate(several) for id, values in one.per_query.items()
    }
    count = len(per_query)
    means = {name: sum(values[name] for values in per_query.values()) / count for name in several[0].means}
    return Scores(means, per_query)


def _values(scores: Scores, measure: str) -> list[float]:
    return [values[measure] for values in scores.per_query.values()]


def _rounded(interval: Interval) -> list[float]:
    return [round(value, 6) for value in (interval.mean, interval.low, interval.high)]


def of_query(scores: Mapping[str, Mapping[str, float]], id: str) -> float | None:
    """The query's value of the first measure; None without judgements."""
    values = scores.get(id)
    return None if values is None else round(values[MEASURES[0]], 6)
