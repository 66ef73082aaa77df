"""Scores that every reader sorts alike: strictly decreasing after rounding to float32, as trec_eval rounds."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
"""The largest finite float32."""


def strictly_decreasing(scores: Iterable[float]) -> Iterator[float]:
    """The scores, with those that are not below their predecessor in float32 moved just below it.

    Scores that already decrease come back unchanged. Raises ValueError for a score that is not finite or
    has no smaller float32 below the previous score.
    """
    last = math.inf
    for score in scores:
        if not math.isfinite(score):
            raise ValueError(f"{score} is not a finite number")
        rounded = float32(score)
        if rounded < last and abs(score) <= LARGEST:
            last = rounded
            yield float(score)
        else:
            last = rounded if rounded < last else _below(last)
            yield last


def float32(value: float) -> float:
    """The nearest float32, never infinite."""
    nearest: float = struct.unpack("<f", struct.pack("<f", max(-LARGEST, min(LARGEST, value))))[0]
    return nearest


def _below(value: float) -> float:
    """The next smaller float32."""
    if value <= -LARGEST:
        raise ValueError("there is no smaller float32")
    bits = struct.unpack("<i", struct.pack("<f", value))[0]
    if value == 0:
        bits = -0x80000000 + 1  # the smallest negative number; zero has two signs
    else:
        bits += -1 if value > 0 else 1
    smaller: float = struct.unpack("<f", struct.pack("<i", bits))[0]
    return smaller
