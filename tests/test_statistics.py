from __future__ import annotations

from statistics import NormalDist, fmean, stdev

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.statistics import bootstrap_mean, equivalence, holm, stratified_mean

VALUES = [((7 * at) % 101) / 100 for at in range(101)]  # every hundredth from 0 to 1, shuffled
REACH = NormalDist().inv_cdf(0.975)


def test_the_interval_is_that_of_the_mean() -> None:
    found = bootstrap_mean(VALUES)
    spread = REACH * (fmean((one - 0.5) ** 2 for one in VALUES) / len(VALUES)) ** 0.5
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == (
        pytest.approx(0.5 - spread, abs=0.003),
        pytest.approx(0.5 + spread, abs=0.003),
    )


def test_two_values_show_all_their_means() -> None:
    # means 0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4
    found = bootstrap_mean([0.0, 1.0])
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_equal_values_leave_no_doubt() -> None:
    found = bootstrap_mean([0.25] * 8, samples=100)
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_the_seed_decides() -> None:
    assert bootstrap_mean(VALUES, seed=3) == bootstrap_mean(VALUES, seed=3)
    assert bootstrap_mean(VALUES, seed=3) != bootstrap_mean(VALUES, seed=4)


def test_many_values_are_resampled_in_parts() -> None:
    values = [float(at % 2) for at in range(30_000)]  # 33 resamples at a time
    found = bootstrap_mean(values, samples=200)
    spread = REACH * 0.5 / len(values) ** 0.5
    assert found.high - found.low == pytest.approx(2 * spread, rel=0.25)
    assert found.low < 0.5 < found.high


def test_groups_weigh_the_same_whatever_their_size() -> None:
    found = stratified_mean({"small": [0.0, 1.0], "large": VALUES * 3, "constant": [0.8] * 5})
    assert found.mean == pytest.approx((0.5 + 0.5 + 0.8) / 3)


def test_queries_are_resampled_within_their_group() -> None:
    # between the groups lies everything, within them nothing
    found = stratified_mean({"a": [0.0] * 9, "b": [1.0] * 9})
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_the_average_of_groups_is_surer_than_a_group() -> None:
    one = bootstrap_mean(VALUES)
    four = stratified_mean({str(name): VALUES for name in range(4)})
    assert four.high - four.low == pytest.approx((one.high - one.low) / 4**0.5, rel=0.05)


def test_the_order_of_the_groups_does_not_matter() -> None:
    groups = {"a": VALUES, "b": [0.1, 0.9, 0.4]}
    assert stratified_mean(groups) == stratified_mean(dict(reversed(groups.items())))


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")]])
def test_no_mean_without_values(values: list[float]) -> None:
    with pytest.raises(InputError, match="finite value"):
        bootstrap_mean(values)
    with pytest.raises(InputError, match="finite value"):
        stratified_mean({"a": values})


def test_no_groups_and_no_samples() -> None:
    with pytest.raises(InputError, match="no groups"):
        stratified_mean({})
    with pytest.raises(InputError, match="at least one"):
        bootstrap_mean([1.0], samples=0)


# ---- equivalence


def test_two_one_sided_tests() -> None:
    # 1, 2, 3: mean 2, standard error 1/sqrt(3), 2 degrees of freedom, where P(T > t) = (1 - t/sqrt(2+t*t))/2
    found = equivalence([1.0, 2.0, 3.0], target=1.9, margin=2.0)
    t = (2.0 - 0.1) * 3**0.5
    assert found.difference == pytest.approx(0.1)
    assert found.p == pytest.approx((1 - t / (2 + t * t) ** 0.5) / 2)
    reach = 2.919986 / 3**0.5  # the 95% point of t with 2 degrees of freedom
    assert (found.low, found.high) == (pytest.approx(0.1 - reach), pytest.approx(0.1 + reach))
    assert found.equivalent == (found.p < 0.05)


def test_equivalent_when_the_interval_lies_within_the_margin() -> None:
    reach = equivalence(VALUES, 0.5, 1.0).high
    assert equivalence(VALUES, 0.5, reach * 1.01).equivalent
    assert not equivalence(VALUES, 0.5, reach * 0.99).equivalent
    assert reach == pytest.approx(1.66 * stdev(VALUES) / len(VALUES) ** 0.5, rel=0.01)


def test_the_sign_of_the_difference_does_not_matter() -> None:
    above, below = equivalence(VALUES, 0.48, 0.1), equivalence(VALUES, 0.52, 0.1)
    assert above.difference == pytest.approx(-below.difference)
    assert above.p == pytest.approx(below.p)


def test_a_mean_beyond_the_margin_is_not_equivalent() -> None:
    assert equivalence(VALUES, 0.9, 0.1).p > 0.5
    assert equivalence([0.5, 0.5], 0.45, 0.1).equivalent
    assert not equivalence([0.5, 0.5], 0.35, 0.1).equivalent


def test_what_no_equivalence_can_be_said_of() -> None:
    with pytest.raises(InputError, match="two queries"):
        equivalence([0.5], 0.5, 0.1)
    for margin in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="margin"):
            equivalence([0.5, 0.4], 0.5, margin)


# ---- several tests


def test_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {
        "a": pytest.approx(3 * 0.01),
        "b": pytest.approx(2 * 0.03),  # its own 1 * 0.04 is below its predecessor's
        "c": pytest.approx(2 * 0.03),
    }
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_holm_keeps_the_names_order_and_refuses_what_is_not_a_p_value() -> None:
    assert list(holm({"z": 0.2, "a": 0.1})) == ["z", "a"]
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="not a p value"):
            holm({"a": value})
