from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError, VerdictError
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.strategies import RankingStrategy, SlidingWindow, named_strategy, partial_order
from reasonrank_pyserini.types import Verdict, Window


def run(strategy: RankingStrategy, n: int, judge: Any) -> tuple[tuple[int, ...], list[Window]]:
    """The final order and every window shown; `judge` orders a window's candidates, best first."""
    flow, shown = strategy.rank(n), []
    try:
        windows = next(flow)
        while True:
            shown += windows
            verdicts = [Verdict(tuple(window.index(one) for one in judge(window))) for window in windows]
            windows = flow.send(verdicts)
    except StopIteration as end:
        return end.value, shown


def perfect(window: Window) -> list[int]:
    return sorted(window, reverse=True)  # the last candidate is the best: the worst start


def as_given(window: Window) -> Window:
    return window


def test_one_pass_over_a_hundred() -> None:
    order, shown = run(SlidingWindow(), 100, perfect)
    assert [len(window) for window in shown] == [20] * 9
    assert shown[0] == tuple(range(80, 100))
    assert shown[1] == (*range(70, 80), *range(99, 89, -1))
    assert order[:10] == tuple(range(99, 89, -1))
    assert SlidingWindow().calls(100) == SlidingWindow().rounds(100) == 9
    assert SlidingWindow().passages(100) == 9 * 20


def test_a_judge_without_opinion_changes_nothing() -> None:
    assert run(SlidingWindow(passes=3), 55, as_given)[0] == tuple(range(55))


@pytest.mark.parametrize(
    ("strategy", "n", "windows"),
    [
        (SlidingWindow(), 0, []),
        (SlidingWindow(), 1, []),
        (SlidingWindow(), 2, [(0, 2)]),
        (SlidingWindow(), 20, [(0, 20)]),
        (SlidingWindow(), 21, [(1, 21), (0, 11)]),
        (SlidingWindow(end=10), 100, [(0, 10)]),  # the authors run nothing here
        (SlidingWindow(start=10), 15, [(10, 15)]),
        (SlidingWindow(start=10, end=40), 100, [(20, 40), (10, 30)]),
        (SlidingWindow(end=500), 30, [(10, 30), (0, 20)]),
        (SlidingWindow(start=29), 30, []),
        (SlidingWindow(start=50), 30, []),
        (SlidingWindow(2, 2), 3, [(1, 3), (0, 2)]),  # no window of one
        (SlidingWindow(passes=2), 20, [(0, 20), (0, 20)]),
        (SlidingWindow(passes=2), 30, [(10, 30), (0, 20), (10, 30), (0, 20)]),
    ],
)
def test_geometry(strategy: SlidingWindow, n: int, windows: list[tuple[int, int]]) -> None:
    assert list(strategy.windows(n)) == windows
    _, shown = run(strategy, n, as_given)
    assert shown == [tuple(range(*window)) for window in windows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size is 1, it must be 2 or more"),
        ({"size": 0, "compat": True}, "size is 0, it must be 1 or more"),
        ({"step": 0}, "step is 0"),
        ({"passes": 0}, "passes is 0"),
        ({"size": 5}, "step 10 is larger than the window of 5"),
        ({"start": -1}, "start is -1"),
        ({"start": 5, "end": 5}, "end 5 must be larger than start 5"),
    ],
)
def test_bad_parameters_are_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        SlidingWindow(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", [(), (0, 1), (0, 1, 1), (1, 2, 3), (0, 1, 2, 3)])
def test_a_verdict_that_is_not_a_permutation_is_an_error(order: tuple[int, ...]) -> None:
    flow = SlidingWindow().rank(3)
    assert next(flow) == [(0, 1, 2)]
    with pytest.raises(VerdictError, match=r"each of 0\.\.2 once"):
        flow.send([Verdict(order)])


def test_a_verdict_for_every_window() -> None:
    flow = SlidingWindow().rank(3)
    next(flow)
    with pytest.raises(VerdictError, match="received 0"):
        flow.send([])


def test_the_shipped_strategy_keeps_the_protocol() -> None:
    assert isinstance(SlidingWindow(), RankingStrategy)
    assert SlidingWindow() == SlidingWindow(20, 10, 1, 0, None, False)
    assert hash(SlidingWindow()) == hash(SlidingWindow(20))


sane = st.integers(2, 12).flatmap(
    lambda size: st.builds(
        SlidingWindow,
        st.just(size),
        st.integers(1, size),
        st.integers(1, 3),
        st.integers(0, 10),
        st.none() | st.integers(11, 60),
    )
)


@given(sane, st.integers(0, 60), st.randoms(use_true_random=False))
def test_whatever_a_judge_says_a_permutation_comes_out(strategy: SlidingWindow, n: int, random: Any) -> None:
    order, shown = run(strategy, n, lambda window: random.sample(window, len(window)))
    end = n if strategy.end is None else min(strategy.end, n)
    assert sorted(order) == list(range(n))
    assert order[: strategy.start] == tuple(range(min(n, strategy.start)))
    assert order[end:] == tuple(range(end, n))
    assert all(2 <= len(window) <= strategy.size for window in shown)
    assert (len(shown), sum(map(len, shown))) == (strategy.calls(n), strategy.passages(n))
    if end - strategy.start >= 2:  # something runs, and every pass covers the range
        per_pass = list(strategy.windows(n))[: len(shown) // strategy.passes]
        assert set().union(*(range(*window) for window in per_pass)) == set(range(strategy.start, end))


@given(sane, st.integers(2, 60), st.data())
def test_one_pass_of_a_perfect_judge_lifts_the_best(
    strategy: SlidingWindow, n: int, data: st.DataObject
) -> None:
    worth = data.draw(st.permutations(range(n)))
    order, _ = run(strategy, n, lambda window: sorted(window, key=lambda one: worth[one], reverse=True))
    end = n if strategy.end is None else min(strategy.end, n)
    ranked = sorted(range(strategy.start, end), key=lambda one: worth[one], reverse=True)
    lifted = strategy.size - strategy.step if end - strategy.start > strategy.size else len(ranked)
    assert list(order[strategy.start : strategy.start + lifted]) == ranked[:lifted]


@given(sane, st.integers(0, 60), st.integers(0, 12), st.randoms(use_true_random=False))
def test_the_order_so_far_is_the_end_that_judges_without_opinion_would_give(
    strategy: SlidingWindow, n: int, judged: int, random: Any
) -> None:
    verdicts: list[tuple[Window, Verdict]] = []

    def judge(window: Window) -> list[int]:
        if len(verdicts) == judged:
            return list(window)
        chosen = random.sample(range(len(window)), len(window))
        verdicts.append((window, Verdict(tuple(chosen))))
        return [window[place] for place in chosen]

    order, _ = run(strategy, n, judge)
    assert partial_order(n, verdicts) == order


# ---- the authors' geometry


def test_the_authors_windows(shared: Path) -> None:
    cases = _golden(shared, "windows")
    wrong = []
    for case in cases:
        strategy = SlidingWindow(
            case["window"], case["step"], start=case["rank_start"], end=case["rank_end"], compat=True
        )
        if list(map(list, strategy.windows(case["n"]))) != case["windows"]:
            wrong.append(case["id"])
    assert (len(cases), wrong) == (49, [])


def test_the_authors_simulations(shared: Path) -> None:
    cases = _golden(shared, "simulation")
    for case in cases:
        ids, recorded = case["initial_order"], [one for each in case["passes"] for one in each["windows"]]
        form = "bare" if case["prompt_mode"] == "rank_GPT" else "tagged"
        answers = iter(recorded)

        def judge(
            window: Window, ids: list[str] = ids, answers: Any = answers, form: Any = form
        ) -> list[int]:
            answer = next(answers)
            assert [ids[one] for one in window] == answer["docids"]
            return [
                window[at] for at in parse(answer["response"], len(window), answer=form, compat=True).order
            ]

        strategy = SlidingWindow(
            case["window"], case["step"], case["num_passes"], end=case["rank_end"], compat=True
        )
        order, shown = run(strategy, case["n"], judge)
        assert [ids[one] for one in order] == case["final_order"], case["id"]
        assert len(shown) == len(recorded)
    assert len(cases) == 10


def _golden(shared: Path, kind: str) -> list[dict[str, Any]]:
    lines = (shared / "golden" / "windows.jsonl").read_text(encoding="utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["kind"] == kind]


@pytest.mark.parametrize(
    ("strategy", "n", "windows"),
    [
        (SlidingWindow(end=10, compat=True), 100, []),
        (SlidingWindow(start=-5, end=15, compat=True), 100, [(0, 15)]),
        (SlidingWindow(compat=True), 1, [(0, 1)]),
        (SlidingWindow(compat=True), 0, []),
        (SlidingWindow(5, 10, compat=True), 20, [(15, 20), (5, 10)]),
        (SlidingWindow(passes=2, compat=True), 30, [(10, 30), (0, 20), (10, 30)]),
        (SlidingWindow(passes=3, compat=True), 20, [(0, 20)]),
    ],
)
def test_the_authors_geometry(strategy: SlidingWindow, n: int, windows: list[tuple[int, int]]) -> None:
    assert list(strategy.windows(n)) == windows


def test_a_strategy_by_name_with_options() -> None:
    assert named_strategy("sliding", {}) == SlidingWindow()
    assert named_strategy("sliding", {"size": 10, "step": 5}) == SlidingWindow(10, 5)
    assert named_strategy(f"{__name__}:TEN", {}) is TEN
    assert named_strategy("reasonrank_pyserini:SlidingWindow", {"size": 30}) == SlidingWindow(30)


TEN = SlidingWindow(10, 5)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("slidng", {}, "unknown strategy 'slidng': did you mean 'sliding'"),
        ("sliding", {"sise": 10}, "unknown sliding option 'sise': did you mean 'size'"),
        ("sliding", {"size": "ten"}, "size is 'ten', it must be a whole number"),
        ("sliding", {"size": True}, "size is True, it must be a whole number"),
        ("sliding", {"size": 10, "step": 20}, "step 20 is larger than the window of 10"),
        (f"{__name__}:TEN", {"size": 5}, "takes no options"),
        ("no_such_module:X", {}, "there is no module 'no_such_module'"),
        ("json:loads", {"s": "{}"}, "has no rank, calls, rounds, passages"),
        ("builtins:dict", {"x": 1}, "has no rank, calls, rounds, passages"),
        ("json:loads", {}, "cannot be made with no options"),
        ("json:loads", {"s": "{"}, "cannot be made with s='{'"),
    ],
)
def test_a_strategy_that_cannot_be_made(name: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        named_strategy(name, options)
