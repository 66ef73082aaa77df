"""Verdicts as orders: checked, applied to a window, put together when a query is cut short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from ..errors import VerdictError
from ..types import Verdict, Window

T = TypeVar("T")


def apply_verdict(window: Window, verdicts: Sequence[Verdict]) -> Window:
    """The window in the order of its only verdict; VerdictError when that is not a permutation of it."""
    if len(verdicts) != 1:
        raise VerdictError(f"expected 1 verdict for the window, received {len(verdicts)}")
    check_order(verdicts[0].order, len(window))
    return tuple(window[place] for place in verdicts[0].order)


def apply_verdicts(windows: Sequence[Window], verdicts: Sequence[Verdict]) -> list[Window]:
    """Each window in the order of its verdict; VerdictError when there is not one permutation for each."""
    if len(verdicts) != len(windows):
        raise VerdictError(
            f"expected {len(windows)} verdicts for {len(windows)} windows, received {len(verdicts)}"
        )
    return [apply_verdict(window, [verdict]) for window, verdict in zip(windows, verdicts, strict=True)]


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
