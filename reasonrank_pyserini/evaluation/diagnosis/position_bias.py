"""Position bias: what the place at which a passage is shown has to do with the place that it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .counted_mean import CountedMean, Tally
from .judged_windows import JudgedWindow, first_looks
from .place_bands import band_of, place_bands

NEARLY = 0.95
"""A window that keeps this share of its pairs (Kendall's tau 0.9) is nearly unchanged."""


@dataclass(frozen=True, slots=True)
class PlaceShown:
    """The passages shown at the places `first` to `last` of a window.

    `given`: the mean place given. `won`: the share that ended first. `relevant` and `other`: the mean place given to
    relevant passages and to the others, empty without judgements.
    """

    first: int
    last: int
    given: CountedMean
    won: CountedMean
    relevant: CountedMean
    other: CountedMean


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How much of the order shown is left in the order given.

    `kept`: the share of pairs of passages shown for the first time that stay in the order shown (1: nothing was moved,
    0: all was reversed). `places` is about them, too (see `judged_windows.first_looks`), in windows with the most
    frequent number of them, `size`. `unchanged`, `nearly`, `reversed`: shares of all windows whose pairs are all kept,
    kept by 95% or more, all turned.
    """

    kept: CountedMean
    unchanged: CountedMean
    nearly: CountedMean
    reversed: CountedMean
    size: int
    places: tuple[PlaceShown, ...]

    @property
    def tau(self) -> float | None:
        """Kendall's rank correlation of the order shown and the order given; ties are left out."""
        return None if self.kept.mean is None else 2 * self.kept.mean - 1


def position_bias(
    windows: Mapping[str, Sequence[JudgedWindow]], relevant: Mapping[str, frozenset[str]]
) -> PositionBias:
    """The bias of windows by query, each query's in the order in which they were judged.

    `relevant`: the relevant docids of every query with judgements.
    """
    tally = Tally()
    looks = {query_id: first_looks(judged) for query_id, judged in windows.items()}
    size = usual_size(looks)
    bands = place_bands(size)
    for query_id, judged in windows.items():
        for window in judged:
            _add_window(tally, query_id, window)
        for look in looks[query_id]:
            kept = [kept for _, _, kept in look.pairs()]
            tally.add("kept", query_id, sum(kept), len(kept))
            if len(look.shown) == size:
                _add_places(tally, query_id, look, relevant.get(query_id), bands)
    return PositionBias(
        kept=tally.mean("kept"),
        unchanged=tally.mean("unchanged"),
        nearly=tally.mean("nearly"),
        reversed=tally.mean("reversed"),
        size=size,
        places=tuple(_place(tally, at, *band) for at, band in enumerate(bands)),
    )


def usual_size(windows: Mapping[str, Sequence[JudgedWindow]]) -> int:
    """The most frequent number of passages in a window, of equally frequent ones the largest; 0 without windows."""
    sizes = Counter(len(window.shown) for judged in windows.values() for window in judged)
    return max(sizes, key=lambda size: (sizes[size], size), default=0)


def _place(tally: Tally, at: int, first: int, last: int) -> PlaceShown:
    return PlaceShown(
        first=first,
        last=last,
        given=tally.mean(("given", at)),
        won=tally.mean(("won", at)),
        relevant=tally.mean(("relevant", at)),
        other=tally.mean(("other", at)),
    )


def _add_window(tally: Tally, query_id: str, window: JudgedWindow) -> None:
    pairs = [kept for _, _, kept in window.pairs()]
    if not pairs:
        return
    kept = sum(pairs)
    tally.add("unchanged", query_id, kept == len(pairs))
    tally.add("nearly", query_id, kept >= NEARLY * len(pairs))
    tally.add("reversed", query_id, not kept)


def _add_places(
    tally: Tally,
    query_id: str,
    window: JudgedWindow,
    relevant: frozenset[str] | None,
    bands: list[tuple[int, int]],
) -> None:
    best = min((place for place in window.places if place is not None), default=None)
    for shown, (id, place) in enumerate(zip(window.shown, window.places, strict=True), 1):
        if place is None:
            continue
        band = band_of(shown, bands)
        tally.add(("given", band), query_id, place)
        tally.add(("won", band), query_id, (place == best) / window.places.count(best))
        if relevant is not None:
            tally.add(("relevant" if id in relevant else "other", band), query_id, place)
