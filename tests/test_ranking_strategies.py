"""Every strategy: a permutation whatever the judge says, the cost it promises, the best ten where it promises them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf, log, nan
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError, VerdictError
from reasonrank_pyserini.strategies import (
    STRATEGIES,
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
    named_strategy,
)
from reasonrank_pyserini.strategies.belief import normal_scores
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
    flow, rounds = strategy.rank(n), []
    try:
        windows = next(flow)
        while True:
            rounds.append(list(windows))
            windows = flow.send([judge(window) for window in windows])
    except StopIteration as end:
        return Done(end.value, rounds)


def drive(flow: Generator[list[Window], list[Verdict], Belief], judge: Judge) -> Belief:
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
    return lambda window: Verdict(judge(window).order)


def silent(window: Window) -> Verdict:
    return Verdict(tuple(range(len(window))), ParseStatus.FAILED)


def erratic(stream: random.Random) -> Judge:
    """Random orders, failed answers, scores that are missing or no numbers."""

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


def test_a_belief_moves_with_the_order_and_grows_surer() -> None:
    prior = Belief.of_ranks(4, slope=1.0)
    assert prior.order() == (0, 1, 2, 3)
    assert prior.means[1] - prior.means[0] == pytest.approx(-log(3 / 2))
    after = prior.updated((1, 3), (3, 1), noise=1.0)
    assert after.means[0] == prior.means[0]
    assert after.means[3] > prior.means[3]
    assert after.variances == (1.0, 0.5, 1.0, 0.5)  # 1 / (1 / 1 + 1 / noise**2)
    centre = (prior.means[1] + prior.means[3]) / 2
    assert (after.means[1] + after.means[3]) / 2 == pytest.approx(centre)
    for _ in range(50):
        after = after.updated((0, 1, 2, 3), (3, 2, 1, 0), noise=1.0)
    assert after.order() == (3, 2, 1, 0)


def test_an_unsure_candidate_may_be_the_best() -> None:
    belief = Belief((3.0, 2.0, 1.0, 0.9), (0.01, 0.01, 0.01, 4.0))
    assert belief.promising(2, margin=1.0) == (0, 3)
    assert belief.promising(2, margin=0.0) == (0, 1)


def test_normal_scores() -> None:
    assert normal_scores(1) == (0.0,)
    assert normal_scores(2) == pytest.approx((0.589, -0.589), abs=0.001)  # Blom; exact 0.564
    assert normal_scores(20)[0] == pytest.approx(1.867, abs=0.01)


def test_pooled_windows_go_from_all_to_the_best() -> None:
    done = run(PooledWindows(), 100, by(lambda candidate: -abs(candidate - 50)))
    first, second, third = done.rounds
    assert [rank // 5 for rank in first[0]] == list(range(20))
    assert [len(window) for window in second + third] == [20, 20, 20]
    assert set(third[0]) <= {one for window in second for one in window}


def test_adaptive_windows_end_where_nothing_changes() -> None:
    as_ranked = by(lambda candidate: -candidate)
    assert len(run(PooledWindows(adaptive=True, budget=20), 100, as_ranked).windows) < 20
    belief = drive(PooledWindows().believe(100), as_ranked)
    assert belief.order()[:5] == (0, 1, 2, 3, 4)
    assert belief.variances[0] < belief.variances[99] < 1


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
