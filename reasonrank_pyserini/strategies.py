"""Which passages are judged together, and in what order: pure flows without engine and I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from .errors import InputError, VerdictError
from .types import Flow, Verdict, Window

T = TypeVar("T")


@runtime_checkable
class RankingStrategy(Protocol):
    """Turns a first order into a final one by judging windows; stateless, so one object serves every query.

    `rank(n)` is the flow for `n` candidates. Its cost is known beforehand: `calls(n)` windows to judge, in
    `rounds(n)` rounds of which each needs the one before, with `passages(n)` passages shown in total. A strategy
    whose cost varies gives upper bounds.
    """

    def rank(self, n: int) -> Flow: ...

    def calls(self, n: int) -> int: ...

    def rounds(self, n: int) -> int: ...

    def passages(self, n: int) -> int: ...


@dataclass(frozen=True, slots=True)
class SlidingWindow:
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
        for name, least in (("size", 1 if self.compat else 2), ("step", 1), ("passes", 1)):
            if getattr(self, name) < least:
                raise InputError(
                    f"sliding window: {name} is {getattr(self, name)}, it must be {least} or more"
                )
        if self.compat:
            return
        if self.step > self.size:
            raise InputError(
                f"sliding window: step {self.step} is larger than the window of {self.size} and would leave "
                f"passages out; use a step of at most {self.size}"
            )
        if self.start < 0:
            raise InputError(f"sliding window: start is {self.start}, it must be 0 or more")
        if self.end is not None and self.end <= self.start:
            raise InputError(f"sliding window: end {self.end} must be larger than start {self.start}")

    def windows(self, n: int) -> Iterator[tuple[int, int]]:
        """The [begin, end) rank ranges that are judged for `n` candidates, in order."""
        if n < 0:
            raise ValueError(f"a list holds 0 or more candidates, not {n}")
        for number in range(self.passes):
            yield from self._authors_pass(n, number) if self.compat else self._pass(n)

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


def apply_verdict(window: Window, verdicts: Sequence[Verdict]) -> Window:
    """The window in the order of its only verdict; VerdictError when that is not a permutation of it."""
    if len(verdicts) != 1:
        raise VerdictError(f"expected 1 verdict for the window, received {len(verdicts)}")
    check_order(verdicts[0].order, len(window))
    return tuple(window[place] for place in verdicts[0].order)


def partial_order(n: int, judged: Iterable[tuple[Window, Verdict]]) -> tuple[int, ...]:
    """The order of `n` candidates after the verdicts of some windows, whatever the strategy."""
    order = list(range(n))
    for window, verdict in judged:
        reorder(order, window, [window[best] for best in verdict.order])
    return tuple(order)


def reorder(ranked: list[T], window: Sequence[T], judged: Sequence[T]) -> None:
    """Put a window's items, in the order judged, into the places that they hold together in `ranked`."""
    places = {item: at for at, item in enumerate(ranked)}
    for at, item in zip(sorted(places[item] for item in window), judged, strict=True):
        ranked[at] = item


def check_order(order: Sequence[int], size: int) -> None:
    """VerdictError unless `order` has each of range(size) once."""
    if sorted(order) != list(range(size)):
        raise VerdictError(
            f"a verdict must contain each of 0..{size - 1} once for a window of {size} passages, not {_short(order)}"
        )


def _short(order: Sequence[int]) -> str:
    shown = ", ".join(map(str, order[:20]))
    return f"({shown}{', ...' if len(order) > 20 else ''})"
