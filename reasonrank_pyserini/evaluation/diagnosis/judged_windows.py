"""What the judge said about the windows of a trace: which passage it puts before which."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...jobs.trace import TracedWindow
from ...types import ParseStatus


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """Docids as shown, and the place that each was given, from 1; `tokens` is the completion's length.

    Passages that the judge did not order (equal scores, or after the best ones that it was asked for) share the
    mean of their places; a place is None for a passage that it left without a score, and for all passages of a window
    whose answer does not say a place for each. Such windows say what was seen, not how it was judged.
    """

    shown: tuple[str, ...]
    places: tuple[float | None, ...]
    scores: tuple[float | None, ...] | None = None
    tokens: int = 0

    def pairs(self) -> Iterator[tuple[int, int, bool]]:
        """Every two passages that were ordered: their positions as shown, and whether the order shown was kept."""
        known = [(at, place) for at, place in enumerate(self.places) if place is not None]
        for begin, (first, one) in enumerate(known):
            for second, other in known[begin + 1 :]:
                if one != other:
                    yield first, second, one < other


@dataclass(slots=True)
class JudgedTrace:
    """The windows of a trace by query, without their texts, and counts over all windows.

    Places are known where the answer says something about every passage (CLEAN) or has scores. In other windows
    (`left_out`) passages that the answer does not name follow in the order shown, which is not a judgement.
    """

    windows: dict[str, list[JudgedWindow]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    forced: int = 0
    errors: int = 0

    @property
    def total(self) -> int:
        return self.statuses.total()

    @property
    def used(self) -> int:
        return self.total - self.left_out.total()


def judged_trace(windows: Iterable[TracedWindow], asked: int | None = None) -> JudgedTrace:
    """The judged windows, read one by one; `asked`: the judge names only this many of the best (None: all)."""
    trace = JudgedTrace()
    for window in windows:
        trace.statuses[window.status] += 1
        trace.forced += window.forced
        trace.errors += window.error is not None
        places = _places(window, asked)
        if places is None:
            trace.left_out[window.status] += 1
            places = (None,) * len(window.window)
        shown = tuple(map(sys.intern, window.window))
        judged = JudgedWindow(shown, places, window.scores, window.completion_tokens)
        trace.windows.setdefault(sys.intern(window.query_id), []).append(judged)
    return trace


def _places(window: TracedWindow, asked: int | None) -> tuple[float | None, ...] | None:
    if window.status == ParseStatus.FAILED:
        return None
    if window.scores is not None:
        return places_by_score(window.scores)
    if window.status == ParseStatus.CLEAN:
        return places_by_order(window.window, window.order, asked)
    return None


def places_by_order(
    shown: Sequence[str], order: Sequence[str], asked: int | None = None
) -> tuple[float, ...]:
    """The place given to each passage shown; those after the best `asked` share the mean of theirs."""
    n = len(order)
    named = n if asked is None else min(asked, n)
    given = {id: float(place if place <= named else (named + 1 + n) / 2) for place, id in enumerate(order, 1)}
    return tuple(given[id] for id in shown)


def places_by_score(scores: Sequence[float | None]) -> tuple[float | None, ...]:
    """The place of each score, the highest first; equal ones share the mean of theirs, None has none."""
    counts = Counter(score for score in scores if score is not None)
    places: dict[float, float] = {}
    taken = 0
    for score in sorted(counts, reverse=True):
        places[score] = taken + (counts[score] + 1) / 2
        taken += counts[score]
    return tuple(None if score is None else places[score] for score in scores)


def first_looks(windows: Sequence[JudgedWindow]) -> list[JudgedWindow]:
    """Each of a query's windows reduced to the passages that no window before it showed, where these are two or more.

    What is shown again was often chosen by the judge itself (the winners of the window before come last in the next
    sliding window), so that its place says something about it. Among passages shown for the first time it does not.
    """
    seen: set[str] = set()
    looks = []
    for window in windows:
        new = [at for at, id in enumerate(window.shown) if id not in seen]
        seen.update(window.shown)
        if len(new) > 1:
            given = [window.places[at] for at in new]
            places = places_by_score([None if place is None else -place for place in given])
            looks.append(JudgedWindow(tuple(window.shown[at] for at in new), places, None, window.tokens))
    return looks


def relevant_ids(grades: Mapping[str, int]) -> frozenset[str]:
    """The docids with a grade above 0."""
    return frozenset(id for id, grade in grades.items() if grade > 0)
