"""Calibration: whether a judge is right, and more often so where it is surer, against judgements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .counted_mean import CountedMean, Tally
from .judged_windows import JudgedWindow, first_looks
from .place_bands import GAPS, Band, band_of, gap_of, place_bands
from .position_bias import usual_size
from .score_calibration import ScoreCalibration, score_calibration


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pairs of a relevant passage and another one of the same window: the share with the relevant one first.

    `right`: of all such pairs; `gaps`: by the distance of the two places given. `short`, `long`: in windows whose
    completion has at most, and more than, `median_tokens` tokens (None: no completions). `first_look`: of passages
    shown for the first time (see `judged_windows.first_looks`); `shown_above`, `shown_below`: of these, where the
    relevant one was shown before the other, and after it: their difference is the pull of the order shown. `places`:
    the share of relevant passages by place given, in windows of the most frequent size.
    """

    right: CountedMean
    gaps: tuple[Band, ...]
    median_tokens: float | None
    short: CountedMean
    long: CountedMean
    first_look: CountedMean
    shown_above: CountedMean
    shown_below: CountedMean
    places: tuple[Band, ...]
    scores: ScoreCalibration | None


def calibration(
    windows: Mapping[str, Sequence[JudgedWindow]], relevant: Mapping[str, frozenset[str]]
) -> Calibration:
    """The calibration over the queries of `relevant`, which has their relevant docids."""
    judged = {query_id: windows[query_id] for query_id in windows if query_id in relevant}
    tally, size = Tally(), usual_size(judged)
    tokens = [one.tokens for some in judged.values() for one in some if one.tokens]
    middle = median(tokens) if tokens else None
    bands = place_bands(size) if size > 1 else []
    for query_id, some in judged.items():
        wanted = relevant[query_id]
        for window in some:
            _add_pairs(tally, query_id, window, wanted, middle)
            if len(window.shown) == size:
                _add_places(tally, query_id, window, wanted, bands)
        for look in first_looks(some):
            for above, right, _ in _relevant_pairs(look, wanted):
                tally.add("first_look", query_id, right)
                tally.add("shown_above" if above else "shown_below", query_id, right)
    return Calibration(
        right=tally.mean("right"),
        gaps=tuple(Band(*gap, tally.mean(("gap", at))) for at, gap in enumerate(GAPS)),
        median_tokens=middle,
        short=tally.mean("short"),
        long=tally.mean("long"),
        first_look=tally.mean("first_look"),
        shown_above=tally.mean("shown_above"),
        shown_below=tally.mean("shown_below"),
        places=tuple(Band(*band, tally.mean(("place", at))) for at, band in enumerate(bands)),
        scores=score_calibration(judged, relevant),
    )


def _relevant_pairs(window: JudgedWindow, relevant: frozenset[str]) -> Iterator[tuple[bool, bool, float]]:
    """Every pair of a relevant and another passage: whether the relevant one was shown before the other, whether it was
    put before it, and the distance of their places."""
    for first, second, kept in window.pairs():
        above = window.shown[first] in relevant
        if above != (window.shown[second] in relevant):
            one, other = window.places[first] or 0.0, window.places[second] or 0.0
            yield above, kept == above, abs(one - other)


def _add_pairs(
    tally: Tally, query_id: str, window: JudgedWindow, relevant: frozenset[str], middle: float | None
) -> None:
    for _, right, distance in _relevant_pairs(window, relevant):
        tally.add("right", query_id, right)
        tally.add(("gap", gap_of(distance)), query_id, right)
        if middle is not None and window.tokens:
            tally.add("long" if window.tokens > middle else "short", query_id, right)


def _add_places(
    tally: Tally, query_id: str, window: JudgedWindow, relevant: frozenset[str], bands: list[tuple[int, int]]
) -> None:
    for id, place in zip(window.shown, window.places, strict=True):
        if place is not None and bands:
            tally.add(("place", band_of(place, bands)), query_id, id in relevant)
