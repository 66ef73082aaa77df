"""Flows driven by judges of a few lines, and every strategy with drawn options."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf, nan

from hypothesis import strategies as st

from reasonrank_pyserini.strategies import (
    Belief,
    Groups,
    Passes,
    Pointwise,
    PooledWindows,
    RankingStrategy,
    Sampled,
    Setwise,
    SingleWindow,
    SlidingWindow,
    TopDown,
    Tournament,
    TwoPass,
)
from reasonrank_pyserini.types import ParseStatus, Verdict, Window

Judge = Callable[[Window], Verdict]


@dataclass
class Done:
    """What a flow did: its final order and the windows of each round."""

    order: tuple[int, ...]
    rounds: list[list[Window]]

    @property
    def windows(self) -> list[Window]:
        return [window for windows in self.rounds for window in windows]


def run(strategy: RankingStrategy, n: int, judge: Judge) -> Done:
    """Rank n candidates with that judge."""
    flow, rounds = strategy.rank(n), []
    try:
        windows = next(flow)
        while True:
            rounds.append(list(windows))
            windows = flow.send([judge(window) for window in windows])
    except StopIteration as end:
        return Done(end.value, rounds)


def drive(flow: Generator[list[Window], list[Verdict], Belief], judge: Judge) -> Belief:
    """What a flow believes at its end."""
    try:
        windows = next(flow)
        while True:
            windows = flow.send([judge(window) for window in windows])
    except StopIteration as end:
        belief: Belief = end.value
        return belief


def by(utility: Callable[[int], float]) -> Judge:
    """A judge without errors, of groups: the order and the scores of its utility."""

    def judge(window: Window) -> Verdict:
        order = sorted(range(len(window)), key=lambda at: -utility(window[at]))
        return Verdict(tuple(order), scores=tuple(map(utility, window)))

    return judge


def listwise(judge: Judge) -> Judge:
    """The same orders without scores."""
    return lambda window: Verdict(judge(window).order)


def silent(window: Window) -> Verdict:
    """An answer that cannot be read."""
    return Verdict(tuple(range(len(window))), ParseStatus.FAILED)


def erratic(stream: random.Random) -> Judge:
    """Random orders, failed answers, scores that are missing or NaN."""

    def judge(window: Window) -> Verdict:
        kind, order = stream.randrange(6), list(range(len(window)))
        if kind == 0:
            return silent(window)
        stream.shuffle(order)
        scores = tuple(stream.choice([0.0, 1.0, -3.5, nan, inf, -inf]) for _ in window)
        return Verdict(tuple(order), scores=scores if kind > 2 else None)

    return judge


sizes = st.integers(2, 30)
unsampled = st.one_of(
    st.builds(SlidingWindow, sizes, st.just(2), st.integers(1, 3)),
    st.builds(Passes, sizes, st.just(1)),
    st.builds(SingleWindow, sizes),
    sizes.flatmap(
        lambda size: st.builds(
            TopDown,
            st.just(size),
            st.integers(1, size - 1),
            st.none() | st.just(0) | st.integers(size, 60),
            st.none() | st.integers(1, 120),
            st.none() | st.integers(1, 20),
        )
    ),
    st.builds(
        Groups,
        sizes,
        st.integers(1, 4),
        st.sampled_from(["shuffled", "strided"]),
        st.integers(0),
        st.booleans(),
    ),
    st.builds(Setwise, st.integers(1, 20), st.integers(1, 25), st.booleans()),
    st.just(Pointwise()),
    st.builds(TwoPass, st.integers(1, 40), st.integers(1, 4), st.booleans()),
    sizes.flatmap(lambda size: st.builds(Tournament, st.just(size), st.none() | st.integers(1, size // 2))),
    st.builds(PooledWindows, sizes, st.none() | st.integers(1, 20), st.booleans(), st.integers(1, 30)),
    st.builds(
        PooledWindows, sizes, st.none() | st.integers(5, 20), samples=st.integers(1, 5), seed=st.integers(0)
    ),
)
strategies = unsampled | st.builds(Sampled, unsampled, st.integers(1, 4), st.integers(0))
