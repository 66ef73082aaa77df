"""AuthorsWindows: the windows of Rearank's and of Rank-K's programs, for `compat`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..strategies.sliding import SequentialWindows

Program = Literal["rearank", "rank-k"]
PROGRAMS: dict[str, Program] = {"permutation-rearank": "rearank", "permutation-ties": "rank-k"}
"""Whose windows belong to a reading."""


@dataclass(frozen=True, slots=True)
class AuthorsWindows(SequentialWindows):
    """Windows of `size` from the end of the list, `step` apart, one after the other.

    Rearank's program judges whole windows alone, so the top of the list is left out unless the windows end there.
    Rank-K's counts from rank `depth` whatever the number of candidates and lets a start below 0 count from the end of
    the list; the prompts without passages that it sends are left out here, since nothing follows from them.
    """

    program: Program
    size: int = 20
    step: int = 10
    depth: int = 100

    def windows(self, n: int) -> Iterator[tuple[int, int]]:
        """The [begin, end) rank ranges that are judged for `n` candidates, in order."""
        for end in range(n if self.program == "rearank" else self.depth, 0, -self.step):
            if self.program == "rearank" and end < self.size:
                return
            places = range(n)[end - self.size : end]
            if places:
                yield places.start, places.stop
            if end == self.size:
                return
