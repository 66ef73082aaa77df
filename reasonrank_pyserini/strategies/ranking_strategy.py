"""The RankingStrategy seam: which windows are judged, as a pure flow with its cost known beforehand."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..types import Flow


@runtime_checkable
class RankingStrategy(Protocol):
    """Turns a first order into a final one by judging windows; stateless, so one object serves every query.

    `rank(n)` is the flow for `n` candidates. Its cost is known beforehand: `calls(n)` windows to judge, in
    `rounds(n)` rounds of which each needs the one before, with `passages(n)` passages shown in total. A strategy
    whose cost varies gives upper bounds, and says so with an attribute `varies` that is true.
    """

    def rank(self, n: int) -> Flow: ...

    def calls(self, n: int) -> int: ...

    def rounds(self, n: int) -> int: ...

    def passages(self, n: int) -> int: ...
