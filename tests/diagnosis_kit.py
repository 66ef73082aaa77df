"""Judged windows written out by hand, a letter a passage."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from reasonrank_pyserini.evaluation.diagnosis.judged_windows import (
    JudgedWindow,
    places_by_order,
    places_by_score,
)
from reasonrank_pyserini.strategies import SlidingWindow
from reasonrank_pyserini.types import Verdict

letters = st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=2).map(tuple)


def window(shown: str, order: str) -> JudgedWindow:
    """The passages shown and the order given, a letter each."""
    return JudgedWindow(tuple(shown), places_by_order(shown, order))


def scored(shown: str, *scores: float | None) -> JudgedWindow:
    """The passages shown and their scores."""
    return JudgedWindow(tuple(shown), places_by_score(scores), scores)


def sliding(judge: object, n: int = 8) -> Sequence[JudgedWindow]:
    """The windows of a sliding window over letters, best first, as `judge` orders them."""
    ids = "abcdefghijklmnopqrstuvwxyz"[:n]
    flow, found = SlidingWindow(4, 2).rank(n), []
    try:
        windows = next(flow)
        while True:
            (indices,) = windows
            shown = tuple(ids[at] for at in indices)
            order = judge(shown)  # type: ignore[operator]
            found.append(JudgedWindow(shown, places_by_order(shown, order)))
            windows = flow.send([Verdict(tuple(shown.index(id) for id in order))])
    except StopIteration:
        return found
