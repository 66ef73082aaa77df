"""How a judge agrees with itself, and what the place of a passage does to its order, from windows by hand."""

from __future__ import annotations

from statistics import fmean

import pytest
from diagnosis_kit import letters, scored, sliding, window
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.evaluation.diagnosis.counted_mean import CountedMean
from reasonrank_pyserini.evaluation.diagnosis.judged_windows import (
    JudgedWindow,
    places_by_order,
)
from reasonrank_pyserini.evaluation.diagnosis.position_bias import position_bias
from reasonrank_pyserini.evaluation.diagnosis.self_agreement import self_agreement

# ---- agreement with itself


def test_agreement_by_hand() -> None:
    windows = {
        "q": [
            window("abc", "abc"),
            window("cab", "acb"),
        ],  # a-b same, shown alike; a-c same, turned; b-c the other
        "r": [
            window("ab", "ba"),
            window("ba", "ab"),
            window("ab", "ba"),
        ],  # b, a, b: of three repeats one is the same
    }
    found = self_agreement(windows, {"q": frozenset("c")})
    assert (found.same.mean, found.same.count) == ((2 + 1) / (3 + 3), 6)
    assert (found.shown_alike.mean, found.shown_alike.count) == (2 / 2, 2)
    assert (found.shown_turned.mean, found.shown_turned.count) == (1 / 4, 4)
    # b-c: b first shown and won, then c first shown and won; in r the one shown last won both times, twice
    assert (found.first_won.mean, found.last_won.mean) == (1 / 4, 2 / 4)
    # a-c is the same, turned, b-c is not; r is not judged
    assert (found.relevant.mean, found.relevant_turned.mean, found.relevant_turned.count) == (1 / 2, 1 / 2, 2)
    # q shows c-a after a won, a-b after a won and c-b after b won; r shows b-a after b won, a-b after a won
    assert (found.following.mean, found.following.count) == ((1 + 2) / (3 + 2), 5)


def test_nothing_is_judged_twice() -> None:
    found = self_agreement({"q": [window("ab", "ba"), window("cd", "cd")], "r": [window("ab", "ab")]}, {})
    assert found.same == found.shown_turned == CountedMean()


@given(st.lists(letters, min_size=1, max_size=6))
def test_a_judge_with_one_opinion_agrees_with_itself(shown: list[tuple[str, ...]]) -> None:
    found = self_agreement(
        {"q": [JudgedWindow(one, places_by_order(one, sorted(one, reverse=True))) for one in shown]}, {}
    )
    assert found.same.mean in (None, 1.0)
    assert found.last_won.mean in (None, 0.0)


@given(st.lists(letters, min_size=1, max_size=6))
def test_a_judge_that_keeps_the_order_shown_contradicts_itself_in_turned_pairs(
    shown: list[tuple[str, ...]],
) -> None:
    found = self_agreement({"q": [JudgedWindow(one, places_by_order(one, one)) for one in shown]}, {})
    assert found.shown_alike.mean in (None, 1.0)
    assert found.shown_turned.mean in (None, 0.0)
    assert found.first_won.mean in (None, 1.0)


def test_in_sliding_windows_even_the_order_shown_looks_like_agreement() -> None:
    found = self_agreement({"q": sliding(lambda shown: shown)}, {})
    assert (found.same.mean, found.following.mean) == (1.0, 1.0)
    turning = self_agreement({"q": sliding(lambda shown: tuple(reversed(shown)))}, {})
    # two passages are in all three windows: turned twice they are where they were
    assert (turning.same.mean, turning.following.mean) == (1 / 3, 1.0)


# ---- position bias


def test_the_order_shown_is_kept_or_reversed() -> None:
    kept = position_bias({"q": [window("abcd", "abcd")], "r": [window("ef", "ef"), window("gh", "gh")]}, {})
    assert (kept.kept.mean, kept.tau, kept.unchanged.mean, kept.nearly.mean) == (1.0, 1.0, 1.0, 1.0)
    assert (kept.size, [one.given.mean for one in kept.places]) == (2, [1.0, 2.0])
    assert [one.won.mean for one in kept.places] == [1.0, 0.0]
    turned = position_bias({"q": [window("abc", "cba")]}, {})
    assert (turned.kept.mean, turned.tau, turned.reversed.mean) == (0.0, -1.0, 1.0)
    assert [one.given.mean for one in turned.places] == [3.0, 2.0, 1.0]
    assert [one.won.mean for one in turned.places] == [0.0, 0.0, 1.0]


def test_places_by_relevance() -> None:
    windows = {"q": [window("abc", "cab"), window("def", "dfe")], "unjudged": [window("abc", "abc")]}
    found = position_bias(windows, {"q": frozenset("cd")})
    # shown first: a at place 2, d at 1, and a of the other query at 1
    assert found.places[0].given.mean == pytest.approx((2 + 1 + 1) / 3)
    assert (found.places[0].relevant.mean, found.places[0].other.mean) == (1.0, 2.0)
    assert (found.places[1].relevant, found.places[1].other.count) == (CountedMean(), 2)
    assert found.places[2].other.mean == 2.0, "f; c is relevant"
    assert (found.kept.mean, found.kept.count) == ((1 + 2 + 3) / 9, 9)


def test_survivors_do_not_look_like_position_bias() -> None:
    # a perfect judge; the best documents come last in the run, so that survivors win every window
    windows = {"q": sliding(lambda shown: sorted(shown, reverse=True))}
    assert position_bias(windows, {}).tau == -1.0
    assert fmean(place for one in windows["q"] for place in one.places) == 2.5  # type: ignore[type-var]
    best_first = {"q": sliding(lambda shown: sorted(shown))}
    assert position_bias(best_first, {}).tau == 1.0


def test_ties_share_the_first_place() -> None:
    found = position_bias({"q": [scored("abc", 1.0, 1.0, 0.0)]}, {})
    assert [one.won.mean for one in found.places] == [0.5, 0.5, 0.0]
    assert [one.given.mean for one in found.places] == [1.5, 1.5, 3.0]
    assert found.kept.count == 2
    assert position_bias({"q": [scored("ab", 1.0, 1.0)]}, {}).unchanged == CountedMean()
