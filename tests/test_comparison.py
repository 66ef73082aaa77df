from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.evaluation.comparison import Changes, changes, compare
from reasonrank_pyserini.scoring import Scores


def scores(*values: float) -> Scores:
    return Scores({"AP": sum(values) / len(values)}, {str(at): {"AP": one} for at, one in enumerate(values)})


def test_wins_ties_and_losses() -> None:
    found = compare(scores(0.5, 0.2, 0.3, 0.1), scores(0.1, 0.2, 0.3, 0.4))["AP"]
    assert (found.wins, found.ties, found.losses) == (1, 2, 1)
    assert found.difference == pytest.approx((0.4 - 0.3) / 4)
    assert found.low < found.difference < found.high


def test_the_t_test() -> None:
    # differences 1, 2, 3: mean 2, standard deviation 1, t = 2 * sqrt(3) with 2 degrees of freedom
    found = compare(scores(1.0, 2.0, 3.0), scores(0.0, 0.0, 0.0))["AP"]
    t = 2 * 3**0.5
    assert found.p_t == pytest.approx(1 - t / (2 + t * t) ** 0.5)  # the closed form for 2 degrees of freedom


def test_the_randomisation_test() -> None:
    # all n signs agree in 2 of 2**n flips, all of which are tried while there are no more than samples
    found = compare(scores(*[0.5] * 5), scores(*[0.1] * 5), samples=2**5)["AP"]
    assert found.p_randomisation == pytest.approx(2 / 2**5)
    assert (found.low, found.high) == (pytest.approx(0.4), pytest.approx(0.4))


def test_equal_runs_differ_nowhere() -> None:
    found = compare(scores(0.5, 0.1), scores(0.5, 0.1))["AP"]
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.p_t, found.p_randomisation) == (1, 1)
    assert (found.wins, found.ties, found.losses) == (0, 2, 0)


def test_one_query_has_no_test() -> None:
    found = compare(scores(0.5), scores(0.1))["AP"]
    assert (found.p_t, found.p_randomisation) == (None, None)


def test_the_seed_decides() -> None:
    mine, theirs = scores(*(at**0.5 % 1 for at in range(30))), scores(*(at / 30 for at in range(30)))
    assert compare(mine, theirs, seed=1) == compare(mine, theirs, seed=1)
    one, two = (compare(mine, theirs, seed=seed)["AP"] for seed in (1, 2))
    assert (one.low, one.high) != (two.low, two.high)
    assert one.p_randomisation != two.p_randomisation
    assert one.p_t == two.p_t


def test_random_signs_come_close_to_all_of_them() -> None:
    # 16 queries: the mean of k losses of 1 and 16 - k wins of 1 is (16 - 2k) / 16; k = 3 is 5 above the middle
    found = compare(scores(*[1.0] * 13, *[0.0] * 3), scores(*[0.0] * 13, *[1.0] * 3))["AP"]
    exact = 2 * sum(math.comb(16, losses) for losses in range(4)) / 2**16
    assert found.p_randomisation == pytest.approx(exact, abs=0.005)


def test_runs_scored_over_different_queries_are_refused() -> None:
    with pytest.raises(InputError, match="different queries"):
        compare(scores(0.5), scores(0.5, 0.1))


def test_which_queries_were_helped_hurt_and_unchanged() -> None:
    found = changes(scores(0.2, 0.5, 0.3, 0.9, 0.1), scores(0.1, 0.5, 0.6, 0.4, 0.1 + 1e-15), "AP")
    assert found == Changes(helped=("3", "0"), hurt=("2",), unchanged=("1", "4"))
    with pytest.raises(UnknownNameError, match="measure of both runs 'RR': known: AP"):
        changes(scores(0.5), scores(0.5), "RR")
    with pytest.raises(InputError, match="different queries"):
        changes(scores(0.5), scores(0.5, 0.1), "AP")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_a_comparison_turned_round_is_its_mirror(pairs: list[tuple[float, float]]) -> None:
    mine, theirs = scores(*(one for one, _ in pairs)), scores(*(other for _, other in pairs))
    there, back = (compare(*two, samples=200)["AP"] for two in ((mine, theirs), (theirs, mine)))
    assert there.difference == pytest.approx(-back.difference)
    assert (there.wins, there.ties, there.losses) == (back.losses, back.ties, back.wins)
    assert there.p_t == pytest.approx(back.p_t)
    assert there.wins + there.ties + there.losses == len(pairs)
