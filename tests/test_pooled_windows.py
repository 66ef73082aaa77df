"""Pooled windows: the belief that every window's order moves, and which candidates are shown next."""

from __future__ import annotations

from math import log

import pytest
from strategies_kit import by, drive, run

from reasonrank_pyserini.strategies import Belief, PooledWindows
from reasonrank_pyserini.strategies.belief import normal_scores


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
