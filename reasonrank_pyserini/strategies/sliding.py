"""SlidingWindow: windows from the end of the list to its top, the strategy of ReasonRank's paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..types import Flow
from .named import strategy_name
from .verdict_orders import apply_verdict


class SequentialWindows:
    """Windows judged one after the other, each in the order left by those before; a subclass says which."""

    __slots__ = ()

    def windows(self, n: int) -> Iterator[tuple[int, int]]:
        """The [begin, end) rank ranges that are judged for `n` candidates, in order."""
        raise NotImplementedError

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: one window at a time, each in the order left by those before."""
        order = list(range(n))
        for begin, end in self.windows(n):
            window = tuple(order[begin:end])
            order[begin:end] = apply_verdict(window, (yield [window]))
        return tuple(order)

    def calls(self, n: int) -> int:
        """How many windows are judged for `n` candidates."""
        return sum(1 for _ in self.windows(n))

    def rounds(self, n: int) -> int:
        """The number of rounds: as many as windows, since every window depends on the one before."""
        return self.calls(n)

    def passages(self, n: int) -> int:
        """The number of passages shown in all windows together."""
        return sum(end - begin for begin, end in self.windows(n))


@dataclass(frozen=True, slots=True)
class SlidingWindow(SequentialWindows):
    """Windows of `size` candidates from the end of the list to its top, `step` apart, `passes` times.

    Only the ranks from `start` to `end` (0-based, end exclusive, None: to the last) are reranked. Every pass covers
    the whole range; no window has fewer than two candidates.

    `compat` is the authors' geometry (`Reranker.rerank_batch`, `run_rank_llm.py`): pass p begins at rank
    `start + p * step`; a range that is `step` shorter than the window is not judged at all; gaps between
    windows (`step > size`) and windows of one candidate are allowed.
    """

    size: int = 20
    step: int = 10
    passes: int = 1
    start: int = 0
    end: int | None = None
    compat: bool = False

    def __post_init__(self) -> None:
        who = f"strategy {strategy_name(self)}"
        for name, least in (("size", 1 if self.compat else 2), ("step", 1), ("passes", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{who}: {name} is {getattr(self, name)}, it must be {least} or more")
        if self.compat:
            return
        if self.step > self.size:
            raise InputError(
                f"{who}: step {self.step} is larger than the window of {self.size} and would leave "
                f"passages out; use a step of at most {self.size}"
            )
        if self.start < 0:
            raise InputError(f"{who}: start is {self.start}, it must be 0 or more")
        if self.end is not None and self.end <= self.start:
            raise InputError(f"{who}: end {self.end} must be larger than start {self.start}")

    def windows(self, n: int) -> Iterator[tuple[int, int]]:
        """The [begin, end) rank ranges that are judged for `n` candidates, in order."""
        if n < 0:
            raise ValueError(f"a list holds 0 or more candidates, not {n}")
        for number in range(self.passes):
            yield from self._authors_pass(n, number) if self.compat else self._pass(n)

    def _pass(self, n: int) -> Iterator[tuple[int, int]]:
        end = n if self.end is None else min(self.end, n)
        if end - self.start < 2:
            return
        while end - self.size > self.start:
            yield end - self.size, end
            end -= self.step
        yield self.start, max(end, self.start + 2)  # at least two candidates

    def _authors_pass(self, n: int, number: int) -> Iterator[tuple[int, int]]:
        top = max(self.start + number * self.step, 0)
        end = n if self.end is None else min(self.end, n)
        begin = end - min(self.size, n)
        while end > top and begin + self.step != top:
            begin = max(begin, top)
            yield begin, end
            end -= self.step
            begin -= self.step


@dataclass(frozen=True, slots=True)
class Passes(SlidingWindow):
    """SlidingWindow that goes over the list twice unless `passes` says otherwise."""

    passes: int = 2
