"""Every strategy: a permutation whatever the judge says, the cost it promises, the best ten where it promises them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from math import nan
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies_kit import by, erratic, listwise, run, silent, strategies

from reasonrank_pyserini.errors import InputError, VerdictError
from reasonrank_pyserini.strategies import (
    STRATEGIES,
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
    named_strategy,
)
from reasonrank_pyserini.types import Verdict, Window

EXACT = (SlidingWindow, SingleWindow, Groups, Pointwise, TwoPass, Tournament)
"""Their cost is exact, not an upper bound."""


@given(strategies, st.integers(0, 200), st.integers(0, 2**32))
@settings(max_examples=400)
def test_whatever_a_judge_says(strategy: RankingStrategy, n: int, seed: int) -> None:
    done = run(strategy, n, erratic(random.Random(seed)))
    assert sorted(done.order) == list(range(n))
    assert all(
        len(set(window)) == len(window) >= 1 and set(window) <= set(range(n)) for window in done.windows
    )
    found = len(done.windows), len(done.rounds), sum(map(len, done.windows))
    promised = strategy.calls(n), strategy.rounds(n), strategy.passages(n)
    assert all(windows for windows in done.rounds)
    inner = strategy.strategy if isinstance(strategy, Sampled) else strategy
    if isinstance(inner, EXACT) or (isinstance(inner, PooledWindows) and not inner.adaptive):
        assert found == promised
    else:
        assert all(one <= most for one, most in zip(found, promised, strict=True))


@pytest.mark.parametrize(
    "strategy",
    [
        SlidingWindow(), Passes(), TopDown(candidates=0), Groups(), Groups(layout="strided"), Groups(compat=True),
        Setwise(), Setwise(compat=True), Pointwise(), TwoPass(), Tournament(),
        Sampled(SlidingWindow(), 3), Sampled(Groups(), 2), Sampled(Setwise(), 2), Sampled(TopDown(candidates=0), 2),
    ],
    ids=repr,
)  # fmt: skip
@given(st.integers(0, 200), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_a_judge_without_errors_gives_the_best_ten(strategy: RankingStrategy, n: int, stream: Any) -> None:
    utility = list(range(n))
    stream.shuffle(utility)
    best = sorted(range(n), key=lambda candidate: -utility[candidate])[:10]
    done = run(strategy, n, by(lambda candidate: utility[candidate] / 7))
    assert list(done.order[:10]) == best


@given(st.integers(2, 20), st.randoms(use_true_random=False))
def test_a_single_window_decides_alone(n: int, stream: Any) -> None:
    utility = list(range(n))
    stream.shuffle(utility)
    assert run(SingleWindow(), n, by(utility.__getitem__)).order == tuple(
        sorted(range(n), key=lambda candidate: -utility[candidate])
    )


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("n", [0, 1, 2, 25, 100])
def test_where_nothing_can_be_read_the_first_stage_stays(name: str, n: int) -> None:
    strategy = named_strategy(name, {})
    assert run(strategy, n, silent).order == tuple(range(n))


@pytest.mark.parametrize(
    ("strategy", "calls", "rounds", "passages"),
    [
        (SingleWindow(), 1, 1, 20),
        (SlidingWindow(), 9, 9, 180),
        (SlidingWindow(10, 5), 19, 19, 190),
        (Passes(), 18, 18, 360),
        (TopDown(), 1 + 5 + 1, 3, 20 + (80 + 5) + 20),
        (Groups(), 2 * 5, 1, 2 * 100),
        (Groups(epochs=6), 30, 1, 600),
        (Setwise(), 5 + 2 + 9 * 2, 1 + 2 + 9 * 2, None),
        (Setwise(compat=True), 5 + 2 + 9 * 2, 5 + 2 + 9 * 2, None),
        (Pointwise(), 100, 1, 100),
        (TwoPass(), 100 + 30 * 16, 2, 580),
        (Tournament(), 5 + 3 + 2 + 1, 4, 100 + 50 + 30 + 20),
        (PooledWindows(), 5 + 2 + 1, 3, 100 + 40 + 20),
        (PooledWindows(adaptive=True), 8, 1 + 3, 100 + 3 * 20),
        (PooledWindows(budget=16), 10 + 4 + 2, 3, 200 + 80 + 40),
        (PooledWindows(budget=4), 2 + 1 + 1, 3, 40 + 20 + 20),
        (PooledWindows(budget=1), 1, 1, 20),
        (PooledWindows(samples=3), 3 * 8, 3, 3 * 160),
        (PooledWindows(samples=3, budget=13), 3 * 4, 3, 3 * (40 + 20 + 20)),
        (PooledWindows(samples=2, adaptive=True), 2 * 8, 1 + 3, 2 * (100 + 3 * 20)),
        (Sampled(SlidingWindow(), 3), 3 * 9, 9, 3 * 180),
        (Sampled(TopDown(), 2), 2 * 7, 3, 2 * 125),
        (TopDown(budget=6), 1 + 4 + 1, 3, 20 + (76 + 4) + 20),
        (TopDown(budget=1), 1, 1, 20),
    ],
    ids=repr,
)
def test_the_cost_of_a_hundred(
    strategy: RankingStrategy, calls: int, rounds: int, passages: int | None
) -> None:
    assert (strategy.calls(100), strategy.rounds(100)) == (calls, rounds)
    assert passages is None or strategy.passages(100) == passages


def test_top_down_compares_the_rest_with_the_pivot() -> None:
    best_at_the_end = by(lambda candidate: {41: 5.0, 60: 4.0}.get(candidate, -candidate))
    done = run(TopDown(), 60, best_at_the_end)
    first, partitions, last = done.rounds
    assert first == [tuple(range(20))]
    assert [window[0] for window in partitions] == [9, 9, 9]  # the tenth of the first window
    assert sorted(one for window in partitions for one in window[1:]) == list(range(20, 60))
    assert last == [(*range(9), 41)]
    assert done.order == (41, *(one for one in range(60) if one != 41))


def test_top_down_ends_where_nothing_is_above_the_pivot() -> None:
    done = run(TopDown(), 100, by(lambda candidate: -candidate))
    assert len(done.windows) == 1 + 5
    assert done.order == tuple(range(100))


def test_strided_groups_mix_ranks_and_epochs_mix_groups() -> None:
    one, other = (Groups(layout="strided", epochs=2).windows(100)[at] for at in (0, 5))
    assert [rank // 5 for rank in one] == [rank // 5 for rank in other] == list(range(20))
    assert len(set(one) & set(other)) <= 4


def test_shuffled_groups_depend_on_nothing_but_seed_and_number() -> None:
    random.seed(1)
    first = Groups(seed=3).windows(100)
    random.seed(2)
    assert Groups(seed=3).windows(100) == first
    assert Groups(seed=4).windows(100) != first
    for epoch in (first[:5], first[5:]):
        assert sorted(one for window in epoch for one in window) == list(range(100))


def test_groups_use_the_mean_of_scores() -> None:
    scores = iter([{0: 1.0, 1: nan, 2: 4.0}, {0: 6.0, 1: nan, 2: 2.0}])

    def judge(window: Window) -> Verdict:
        given = next(scores)
        return Verdict(tuple(range(3)), scores=tuple(given[one] for one in window))

    assert run(Groups(size=3), 3, judge).order == (0, 2, 1)  # 3.5, 3.0 and none


def test_groups_of_a_listwise_judge_use_the_places() -> None:
    judge = by(lambda candidate: candidate)
    assert run(Groups(size=50, epochs=3), 50, listwise(judge)).order == tuple(range(49, -1, -1))


def test_pointwise_ties_and_missing_scores() -> None:
    scores = [1.0, nan, 2.0, 1.0, None, 3.0]
    done = run(
        Pointwise(),
        6,
        lambda window: Verdict((0,), scores=None if (s := scores[window[0]]) is None else (s,)),
    )
    assert done.order == (5, 2, 0, 3, 1, 4)
    assert done.rounds == [[(0,), (1,), (2,), (3,), (4,), (5,)]]


def test_two_passes_keep_what_was_not_judged_again() -> None:
    first = [5.0, 9.0, 1.0, 7.0]
    second = iter([0.0, nan, 3.0, 5.0])  # two samples each of candidates 1 and 3

    def judge(window: Window) -> Verdict:
        value = first.pop(0) if first else next(second)
        return Verdict((0,), scores=(value,))

    done = run(TwoPass(best=2, samples=2), 4, judge)
    assert done.rounds[1] == [(1,), (1,), (3,), (3,)]
    assert done.order == (3, 1, 0, 2)


def test_a_tournament_orders_the_beaten_by_round() -> None:
    done = run(Tournament(size=4), 8, by(lambda candidate: -candidate))
    assert done.rounds == [[(0, 2, 4, 6), (1, 3, 5, 7)], [(0, 1, 2, 3)]]
    assert done.order == tuple(range(8))


def test_a_silent_judge_with_the_authors_heapsort_brings_the_last_to_the_top() -> None:
    assert run(Setwise(compat=True), 25, silent).order[:3] == (0, 24, 23)
    assert run(Setwise(), 25, silent).order[:3] == (0, 1, 2)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: SingleWindow(1), "size is 1, it must be 2 or more"),
        (lambda: TopDown(cutoff=20), "cutoff 20 must be smaller than the window of 20"),
        (lambda: TopDown(candidates=3), "candidates is 3, it must be 10 or more"),
        (lambda: TopDown(budget=0), "budget is 0, it must be 1 or more"),
        (lambda: Groups(layout="stridden"), "did you mean 'strided'"),
        (lambda: Groups(epochs=0), "epochs is 0"),
        (lambda: Setwise(k=0), "k is 0"),
        (lambda: TwoPass(samples=0), "samples is 0"),
        (lambda: Tournament(size=20, keep=11), "keep is 11, it must be at most 10"),
        (lambda: PooledWindows(noise=0.0), "noise is 0.0, it must be between 0.01 and 100"),
        (lambda: PooledWindows(slope=nan), "slope is nan"),
        (lambda: PooledWindows(samples=0), "samples is 0, it must be 1 or more"),
        (
            lambda: PooledWindows(samples=4, budget=3),
            "a budget of 3 calls is less than the 4 samples of one window",
        ),
        (lambda: Sampled(SlidingWindow(), 20_000), "samples is 20000, it must be 10000 or less"),
    ],
)
def test_options_that_cannot_be(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        make()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_verdicts_that_do_not_fit_are_refused(name: str) -> None:
    for verdicts in ([], [Verdict((0, 0))] * 200):
        flow = named_strategy(name, {}).rank(30)
        windows = next(flow)
        with pytest.raises(VerdictError):
            flow.send(verdicts[: len(windows)])


@given(st.integers(2, 100))
@example(100)
def test_equal_strategies_are_one(n: int) -> None:
    for name in STRATEGIES:
        one, other = named_strategy(name, {}), named_strategy(name, {})
        assert one == other
        assert hash(one) == hash(other)
        assert run(one, n, by(float)).order == run(other, n, by(float)).order
