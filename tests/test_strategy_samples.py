"""Several samples of each window: shuffled by seed and window alone, and averaged."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_kit import by, erratic, run, silent, unsampled

from reasonrank_pyserini.strategies import (
    Groups,
    PooledWindows,
    RankingStrategy,
    Sampled,
    SingleWindow,
    SlidingWindow,
)
from reasonrank_pyserini.types import Verdict, Window


@given(unsampled, st.integers(0, 120), st.integers(0, 2**32))
@settings(max_examples=100)
def test_one_sample_is_the_strategy_itself(strategy: RankingStrategy, n: int, seed: int) -> None:
    one, other = (
        run(made, n, erratic(random.Random(seed))) for made in (strategy, Sampled(strategy, 1, seed=seed))
    )
    assert (one.order, one.rounds) == (other.order, other.rounds)


@pytest.mark.parametrize(
    "make", [lambda s: PooledWindows(samples=3, seed=s), lambda s: Sampled(SlidingWindow(), 3, s)]
)
def test_samples_are_shuffled_by_seed_and_window_alone(make: Callable[[int], RankingStrategy]) -> None:
    random.seed(1)
    first = run(make(3), 60, by(float))
    random.seed(2)
    assert run(make(3), 60, by(float)) == first
    assert run(make(4), 60, by(float)).rounds != first.rounds
    for windows in first.rounds:
        for at in range(0, len(windows), 3):
            shown, *again = windows[at : at + 3]
            assert {frozenset(window) for window in again} == {frozenset(shown)}
            assert len({shown, *again}) == 3


def test_samples_of_a_window_outvote_one_that_errs() -> None:
    answers = iter([(2, 1, 0), None, (0, 1, 2), (0, 1, 2)])  # orders of candidates; the second cannot be read

    def judge(window: Window) -> Verdict:
        answer = next(answers)
        return silent(window) if answer is None else Verdict(tuple(window.index(one) for one in answer))

    assert run(Sampled(SlidingWindow(), 4), 3, judge).order == (0, 1, 2)


def test_a_judge_that_prefers_the_first_places_is_averaged_out() -> None:
    def lazy(window: Window) -> Verdict:  # the shown order, but for a passage that it knows
        order = sorted(range(len(window)), key=lambda at: (window[at] != 15, at))
        return Verdict(tuple(order))

    alone, pooled = (run(made, 20, lazy).order for made in (SingleWindow(), Sampled(SingleWindow(), 9)))
    assert alone == (15, *(one for one in range(20) if one != 15))
    assert pooled[0] == 15
    assert pooled != alone


def test_samples_average_scores() -> None:
    scores = iter([{0: 1.0, 1: 5.0}, {0: nan, 1: 1.0}, {0: 6.0, 1: 3.0}])

    def judge(window: Window) -> Verdict:
        given = next(scores)
        return Verdict(tuple(range(len(window))), scores=tuple(given[one] for one in window))

    assert run(Sampled(Groups(size=2, epochs=1), 3), 2, judge).order == (0, 1)  # 3.5 against 3
