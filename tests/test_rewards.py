"""The reward: the authors' function case by case, and our own rules where that one is surprising."""

from __future__ import annotations

import json
import time
from math import log2
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.training.rewards import (
    DEFAULT_WEIGHTS,
    RewardParts,
    Weights,
    multi_view_reward,
    ndcg,
    rank_biased_overlap,
    recall,
    reward_parts,
)

ABC = ("a", "b", "c")
LABEL = "[3] > [1] > [2]"


def answered(ranking: str) -> str:
    return f"<think>some reasoning [3]</think>\n<answer>{ranking}</answer>"


def reward(completion: str, label: str = LABEL, relevant: Any = ("c",), **more: Any) -> float:
    return multi_view_reward(completion, label=label, initial_list=ABC, relevant=relevant, **more)


def test_every_golden_case_of_the_authors_function(shared: Path) -> None:
    cases = [json.loads(line) for line in (shared / "golden" / "rewards.jsonl").read_text().splitlines()]
    assert len(cases) > 60
    for case in cases:
        arguments = {
            "label": case["ground_truth"],
            "initial_list": case["initial_list"],
            "relevant": case["relevant_docids"],
            "compat": True,
        }
        if case.get("raises"):
            with pytest.raises(Exception) as caught:  # noqa: PT011 (the name is checked)
                multi_view_reward(case["response"], **arguments)
            assert type(caught.value).__name__ == case["raises"], case["id"]
        else:
            assert multi_view_reward(case["response"], **arguments) == pytest.approx(
                case["expected"], abs=1e-9
            ), case["id"]


def test_golden_cases_without_traps_are_the_same_by_default(shared: Path) -> None:
    cases = [json.loads(line) for line in (shared / "golden" / "rewards.jsonl").read_text().splitlines()]
    plain = [
        c for c in cases if not c.get("raises") and not c["id"].startswith("quirk") and c["relevant_docids"]
    ]
    assert len(plain) > 40
    for case in plain:
        got = multi_view_reward(
            case["response"],
            label=case["ground_truth"],
            initial_list=case["initial_list"],
            relevant=case["relevant_docids"],
        )
        assert got == pytest.approx(case["expected"], abs=1e-9), case["id"]


def test_the_views_of_a_ranking() -> None:
    parts = reward_parts(answered("[1] > [3] > [2]"), label=LABEL, initial_list=ABC, relevant={"c"})
    overlap = (0 / 1 + 2 / 2 + 3 / 3) / 3
    assert parts == RewardParts(
        total=pytest.approx(1 / log2(3) + 0.2 * 1 + 0.1 * overlap),
        ndcg=pytest.approx(1 / log2(3)),
        recall=1.0,
        rbo=pytest.approx(overlap),
        format=1.0,
    )


@pytest.mark.parametrize("compat", [False, True])
def test_without_tags_minus_one_with_wrong_identifiers_zero(compat: bool) -> None:
    tagless = reward_parts("[3] > [1] > [2]", label=LABEL, initial_list=ABC, relevant=["c"], compat=compat)
    short = reward_parts(answered("[3] > [1]"), label=LABEL, initial_list=ABC, relevant=["c"], compat=compat)
    assert (tagless.total, tagless.format) == (-1.0, -1.0)
    assert (short.total, short.format, short.ndcg, short.recall, short.rbo) == (0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("ranking", "authors"),
    [
        ("[0] > [1] > [2]", 1 + 0.2 + 0.1 * (0 + 1 / 2 + 2 / 3) / 3),
        ("[4] > [3] > [1]", 1 + 0.2 + 0.1 * (0 + 1 / 2 + 2 / 3) / 3),
        ("[3] > [03] > [003]", 1 + 0.2 + 0.1 * (1 + 1 / 2 + 1 / 3) / 3),
        (f"[3] > [1] > [{'9' * 4000}]", 1 + 0.2 + 0.1 * (1 + 1 + 2 / 3) / 3),
    ],
)
def test_identifiers_that_name_no_passage_of_the_list_are_ill_formed(ranking: str, authors: float) -> None:
    assert reward(answered(ranking)) == 0
    assert reward(answered(ranking), compat=True) == pytest.approx(authors)


def test_a_number_is_what_it_means_however_it_is_written() -> None:
    assert reward(answered("[03] > [1] > [2]")) == pytest.approx(1.3)
    assert reward(answered("[３] > [١] > [2]")) == pytest.approx(1.3)
    assert reward(answered("③ > ① > ②")) == 0


def test_a_label_that_repeats_itself_counts_each_passage_once() -> None:
    assert reward(answered("[3] > [1]"), label="[3] > [3] > [1]") == pytest.approx(1.3)
    with pytest.raises(AssertionError):
        reward(answered("[2] > [2] > [1]"), label="[3] > [3] > [1]", compat=True)


def test_with_nothing_relevant_the_overlap_still_counts() -> None:
    assert reward(answered("[3] > [1] > [2]"), relevant=()) == pytest.approx(0.1)
    with pytest.raises(KeyError):
        reward(answered("[3] > [1] > [2]"), relevant=(), compat=True)


def test_relevant_documents_outside_the_list_are_missed() -> None:
    ideal = 1 + 1 / log2(3)
    parts = reward_parts(answered(LABEL), label=LABEL, initial_list=ABC, relevant=["c", "elsewhere"])
    assert (parts.ndcg, parts.recall) == (pytest.approx(1 / ideal), 1 / 2)


def test_a_template_that_opened_the_reasoning() -> None:
    rest = f"some reasoning</think>\n\n<answer>{LABEL}</answer>"
    assert reward(rest) == -1
    assert reward(rest, opened=True) == pytest.approx(1.3)
    assert reward(answered(LABEL), opened=True) == pytest.approx(1.3)


def test_weights_and_the_persistence_of_the_overlap() -> None:
    assert Weights(1.0, 0.2, 0.1) == DEFAULT_WEIGHTS
    only = Weights(ndcg=0, recall=0, rbo=1)
    completion, p = answered("[1] > [3] > [2]"), 0.9
    shared = [0, 2 / 2, 3 / 3]
    summed = sum(fraction * p**depth for depth, fraction in enumerate(shared, 1))
    assert reward(completion, weights=only, rbo_p=p) == pytest.approx(p**3 + (1 - p) / p * summed)


def test_hostile_text_takes_linear_time() -> None:
    begin = time.process_time()
    for text in ("<think>" * 200_000, "<think>" + "</think> " * 200_000, answered("[1]" * 300_000)):
        reward(text)
    assert time.process_time() - begin < 5  # of CPU; quadratic time would be hours


def orders(n: int) -> st.SearchStrategy[list[int]]:
    return st.permutations(range(n)).map(list)


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[int], list[int], set[int]]:
    """An answer's order, a label's order, the relevant places."""
    n = draw(st.integers(1, 24))
    return draw(orders(n)), draw(orders(n)), draw(st.sets(st.integers(0, n - 1)))


def ranked(order: list[int]) -> str:
    return " > ".join(f"[{index + 1}]" for index in order)


def scored(case: tuple[list[int], list[int], set[int]], name: str = "d{}", **more: Any) -> RewardParts:
    answer, label, relevant = case
    names = [name.format(index) for index in range(len(answer))]
    wanted = [names[index] for index in relevant]
    return reward_parts(
        answered(ranked(answer)), label=ranked(label), initial_list=names, relevant=wanted, **more
    )


@given(lists(), st.floats(0.01, 1.0))
def test_every_view_lies_between_zero_and_one(case: tuple[list[int], list[int], set[int]], p: float) -> None:
    parts = scored(case, rbo_p=p)
    for view in (parts.ndcg, parts.recall, parts.rbo):
        assert -1e-12 <= view <= 1 + 1e-12
    assert parts.total == pytest.approx(parts.ndcg + 0.2 * parts.recall + 0.1 * parts.rbo)


@given(lists())
def test_names_of_documents_do_not_matter(case: tuple[list[int], list[int], set[int]]) -> None:
    assert scored(case) == scored(case, "z {} 3")


@given(lists())
def test_compat_is_the_same_where_nothing_is_odd(case: tuple[list[int], list[int], set[int]]) -> None:
    if case[2]:
        assert scored(case, compat=True) == scored(case)


@given(lists(), st.data())
def test_moving_a_relevant_document_up_never_costs(
    case: tuple[list[int], list[int], set[int]], data: st.DataObject
) -> None:
    answer, label, relevant = case
    places = [place for place in range(1, len(answer)) if answer[place] in relevant]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    better = [*answer]
    better[place - 1], better[place] = better[place], better[place - 1]
    before, after = scored(case), scored((better, label, relevant))
    assert after.ndcg >= before.ndcg - 1e-12
    assert after.recall >= before.recall


@given(lists())
def test_the_label_itself_overlaps_fully(case: tuple[list[int], list[int], set[int]]) -> None:
    _, label, relevant = case
    assert scored((label, label, relevant)).rbo == pytest.approx(1)
    assert scored((label, label, relevant), rbo_p=0.7).rbo == pytest.approx(1)


def test_overlap_by_hand() -> None:
    assert rank_biased_overlap("abc", "abd") == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert rank_biased_overlap("ab", "cd") == 0
    assert rank_biased_overlap("", "") == 1
    assert rank_biased_overlap("ab", "cd", p=0.5) == 0
    with pytest.raises(AssertionError):
        rank_biased_overlap("aa", "ab")
    for p in (0, 1.5):
        with pytest.raises(ValueError, match="p must be above 0"):
            rank_biased_overlap("ab", "ba", p=p)
    with pytest.raises(ValueError, match="equally long"):
        rank_biased_overlap("ab", "a")


def test_measures_look_at_ten_ranks() -> None:
    ids = [f"d{i}" for i in range(12)]
    assert ndcg(ids, {"d10"}) == 0
    assert recall(ids, {"d9", "d10"}) == 1 / 2
    assert ndcg(ids, {"d9"}) == pytest.approx(1 / log2(11))
    assert ndcg(ids, set(ids)) == pytest.approx(1)
    assert (ndcg(ids, ()), recall(ids, ())) == (0, 0)
