"""Bands of places, so that a window of 20 makes a short table."""

from __future__ import annotations

from dataclasses import dataclass

from .counted_mean import CountedMean

_LAST = (1, 3, 5)
GAPS = ((1, 1), (2, 3), (4, 7), (8, None))
"""Distances between two places given that are counted together; the last band is open."""


@dataclass(frozen=True, slots=True)
class Band:
    """A figure over the places (or distances) from `first` to `last`; `last` is None where there is no end."""

    first: int
    last: int | None
    figure: CountedMean


def place_bands(size: int) -> list[tuple[int, int]]:
    """(first, last) places of a window of that size: up to 10 each alone, else 1, 2-3, 4-5, 6-10, 11-15, ..."""
    if size <= 10:
        return [(place, place) for place in range(1, size + 1)]
    step = 5 if size <= 30 else 10
    ends = [*_LAST, *range(10, size, step), size]
    return [(first + 1, last) for first, last in zip([0, *ends], ends, strict=False)]


def band_of(place: float, bands: list[tuple[int, int]]) -> int:
    """The position of the band that holds a place, which may lie between two whole ones."""
    return next((at for at, (_, last) in enumerate(bands) if place < last + 1), len(bands) - 1)


def gap_of(distance: float) -> int:
    """The position of the distance's band in GAPS."""
    return next(at for at, (_, last) in enumerate(GAPS) if last is None or distance < last + 1)
