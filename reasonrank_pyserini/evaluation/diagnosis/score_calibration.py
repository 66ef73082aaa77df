"""Calibration of scores: the share of relevant passages by score."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .counted_mean import CountedMean, Tally
from .judged_windows import JudgedWindow

BINS = 5


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """The passages whose score is from `low` up to `high` (only the last bin includes it)."""

    low: float
    high: float
    mean_score: CountedMean
    relevant: CountedMean


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """Mean scores of passages against their relevance.

    `auc`: the share of pairs of a relevant and another passage of one query in which the relevant one has the higher
    score, ties as half. `bins`: five of equal width over 0 to 1 where all scores lie there, else over the scores given.
    `error`: the mean distance of score and share of relevant passages over those bins (expected calibration error),
    without an interval; empty for scores that cannot be probabilities.
    """

    auc: CountedMean
    bins: tuple[ScoreBin, ...]
    error: CountedMean


def score_calibration(
    windows: Mapping[str, Sequence[JudgedWindow]], relevant: Mapping[str, frozenset[str]]
) -> ScoreCalibration | None:
    """The calibration of a passage's mean score over its query's windows; None where no window has scores."""
    scores = {query_id: found for query_id, some in windows.items() if (found := _mean_scores(some))}
    if not scores:
        return None
    tally = Tally()
    values = [score for found in scores.values() for score in found.values()]
    probabilities = min(values) >= 0 and max(values) <= 1
    low, high = (0.0, 1.0) if probabilities else (min(values), max(values))
    edges = [low * (1 - at / BINS) + high * (at / BINS) for at in range(BINS + 1)]
    for query_id, found in scores.items():
        for id, score in found.items():
            at = bisect_right(edges[1:-1], score)
            tally.add(("score", at), query_id, score)
            tally.add(("relevant", at), query_id, id in relevant[query_id])
        for won in _compared(found, relevant[query_id]):
            tally.add("auc", query_id, won)
    bins = tuple(
        ScoreBin(edges[at], edges[at + 1], tally.mean(("score", at)), tally.mean(("relevant", at)))
        for at in range(BINS)
    )
    return ScoreCalibration(
        tally.mean("auc"), bins, _error(bins, len(scores)) if probabilities else CountedMean()
    )


def _mean_scores(windows: Sequence[JudgedWindow]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for window in windows:
        for id, score in zip(window.shown, window.scores or (), strict=False):
            if score is not None:
                found.setdefault(id, []).append(score)
    return {id: fmean(scores) for id, scores in found.items()}


def _compared(scores: Mapping[str, float], relevant: frozenset[str]) -> Iterator[float]:
    """1, 0.5 or 0 for every relevant passage and every other one."""
    others = [score for id, score in scores.items() if id not in relevant]
    for id, score in scores.items():
        if id in relevant:
            for other in others:
                yield 0.5 if score == other else float(score > other)


def _error(bins: Sequence[ScoreBin], queries: int) -> CountedMean:
    total = sum(one.relevant.count for one in bins)
    distance = sum(
        one.relevant.count * abs((one.mean_score.mean or 0.0) - (one.relevant.mean or 0.0)) for one in bins
    )
    return CountedMean(distance / total, count=total, queries=queries)
