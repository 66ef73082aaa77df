"""How the answers of other rerankers are read: as their authors' programs do with `compat`, safely without."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from rankers_kit import number, rows

from reasonrank_pyserini.prompts.answers import Answer
from reasonrank_pyserini.prompts.answers.authors_orders import (
    read_rankllm,
    read_rearank,
    read_ties,
    tied_scores,
)
from reasonrank_pyserini.prompts.answers.best_label import read_best_label, read_unreasoned_label, vote
from reasonrank_pyserini.prompts.answers.group_scores import authors_scores, mean_scores, read_group_scores
from reasonrank_pyserini.prompts.answers.single_score import (
    mean_of_samples,
    read_integer,
    read_score,
    weighted_integer,
)
from reasonrank_pyserini.prompts.answers.true_false import forced_ending, true_probability
from reasonrank_pyserini.types import ParseStatus

CLEAN, REPAIRED, FAILED = ParseStatus.CLEAN, ParseStatus.REPAIRED, ParseStatus.FAILED


def same(found: float, expected: Any) -> bool:
    return found == pytest.approx(number(expected), abs=1e-9, nan_ok=True)


def test_golden_forced_endings_of_rank1(shared: Path) -> None:
    for row in rows(shared, "rank1", "parses"):
        ending = forced_ending(row["first_text"], compat=True)
        assert row["prompt"] + ending == row["forced_prompt"], row["id"]


def test_golden_group_scores(shared: Path) -> None:
    for row in rows(shared, "diver-grouprank", "parses"):
        text = row["response"] or ""
        if row["extract_raises"] is None:
            found = [[key, value] for key, value in authors_scores(text).items()]
            expected = [[key, number(value)] for key, value in row["extracted"]]
            assert repr(found) == repr(expected), row["id"]
        if row["result_raises"] is not None:
            continue
        answer = read_group_scores(text, row["n"], compat=True)
        shown = row["shown_docids"]
        assert answer.scores is not None
        ranked = [(shown[at], answer.scores[at]) for at in answer.order][: len(row["result"])]
        lost = [at for at in answer.order if math.isnan(answer.scores[at])]
        assert [docid for docid, _ in ranked] == [docid for docid, _ in row["result"]], row["id"]
        assert all(same(a, b) for (_, a), (_, b) in zip(ranked, row["result"], strict=True)), row["id"]
        assert len(row["result"]) == row["n"] or len(lost) >= row["n"] - len(row["result"])


def test_golden_scores_of_retro_star(shared: Path) -> None:
    for row in rows(shared, "retro-star", "parses"):
        answer = read_score(row["response"] or "", 1, compat=True)
        assert answer.scores is not None
        assert same(answer.scores[0], row["score"]), row["id"]


def test_golden_orders_of_rank_k(shared: Path) -> None:
    for row in rows(shared, "rank-k", "parses"):
        if row["raises"]:  # no content at all: here an answer that cannot be read
            continue
        docids = [f"d{place + 1}" for place in range(row["n"])]
        scores = tied_scores(row["content"], row["n"])
        assert [[docids[at], pytest.approx(score, abs=1e-9)] for at, score in scores.items()] == row["scores"]
        answer = read_ties(row["content"], row["n"], compat=True)
        assert [docids[at] for at in answer.order] == row["order"], row["id"]


@pytest.mark.parametrize(("ranker", "reader"), [("rearank", read_rearank), ("insertrank", read_rankllm)])
def test_golden_orders(ranker: str, reader: Any, shared: Path) -> None:
    for row in rows(shared, ranker, "parses"):
        order = reader(row["response"], row["n"], True).order
        assert list(order) == row["expected_order"], row["id"]


def test_golden_labels_of_rank_r1(shared: Path) -> None:
    for row in rows(shared, "rank-r1", "parses"):
        reader = read_unreasoned_label if row["prompt_file"] == "prompt_setwise.toml" else read_best_label
        n, stream = row["n"], random.Random(row["seed"])
        orders = [stream.sample(range(n), n) for _ in row["completions"]]
        assert orders == row["shown_orders"], row["id"]
        answers = [reader(text, n, True) for text in row["completions"]]
        best = [
            None if answer.status is FAILED else order[answer.order[0]]
            for answer, order in zip(answers, orders, strict=True)
        ]
        assert vote(best, stream) == row["best"], row["id"]


@pytest.mark.parametrize(
    ("yes", "no", "expected"),
    [
        (-1.0, -1.0, 0.5),
        (0.0, -math.inf, 1.0),
        (-math.inf, 0.0, 0.0),
        (-800.0, -900.0, 1.0),
        (-900.0, 800.0, 0.0),
    ],
)
def test_true_against_false(yes: float, no: float, expected: float) -> None:
    assert true_probability({1: yes, 2: no, 3: 0.0}, 1, 2) == pytest.approx(expected, abs=1e-9)


def test_no_probability_without_both() -> None:
    assert true_probability({1: -0.5}, 1, 2) is None
    assert true_probability(None, 1, 2) is None
    assert true_probability({1: -math.inf, 2: -math.inf}, 1, 2) is None


def test_finished_reasoning_is_kept_whole() -> None:
    assert forced_ending(" It is. So x </think>\ntrue") == "\nIt is. So x\n</think>"
    assert forced_ending("It is. So x") == "\nIt is.\n</think>"


GROUP = [
    ('<answer>{"[1]": 5, "[2]": 3, "[3]": 8}</answer>', (0.5, 0.3, 0.8), CLEAN),
    ('<answer>{"Document [1]": 5, "[2].": 3, "3": "8"}</answer>', (0.5, 0.3, 0.8), CLEAN),
    ('<answer>{"scores": {"[1]": 5, "[2]": 3, "[3]": 8}}</answer>', (0.5, 0.3, 0.8), CLEAN),
    ('<answer>{"[1]"]: 5, "[2]": 3, "[3]": 8,\n```', (0.5, 0.3, 0.8), CLEAN),
    ('<answer>{"[1]": 5, "[2]": null, "[3]": 8}</answer>', (0.5, math.nan, 0.8), REPAIRED),
    ('<answer>{"[0]": 7, "[1]": 5, "[2]": 3, "[3]": 8}</answer>', (0.5, 0.3, 0.8), REPAIRED),
    ('<answer>{"[1]": 15, "[2]": -3, "[3]": 8}</answer>', (1.0, 0.0, 0.8), REPAIRED),
    ('<reason>{"[1]": 1, "[2]": 1}</reason><answer>{"[1]": 5, "[2]"', (0.5, math.nan, math.nan), REPAIRED),
    ('<answer>{"[1]": 0}</answer> no: <answer>{"[1]": 5, "[2]": 3, "[3]": 8}</answer>', (0.5, 0.3, 0.8), CLEAN),
]  # fmt: skip


@pytest.mark.parametrize(("text", "scores", "status"), GROUP)
def test_group_scores_one_by_one(text: str, scores: tuple[float, ...], status: ParseStatus) -> None:
    answer = read_group_scores(text, 3)
    assert answer.scores == pytest.approx(scores, nan_ok=True)
    assert answer.status is status
    known = [at for at in answer.order if not math.isnan(scores[at])]
    assert [scores[at] for at in known] == sorted((scores[at] for at in known), reverse=True)


@pytest.mark.parametrize("text", ["", "<reason>[1]: 5", "<answer></answer>", "<answer>[3] > [1]</answer>"])
def test_no_group_scores(text: str) -> None:
    assert read_group_scores(text, 3) == Answer((0, 1, 2), FAILED)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("so <score>85</score>", 85.0), ("<score>\n85.5\n</score>", 85.5), ("<score>85%</score>", 85.0),
        ("<SCORE>[85]</SCORE>", 85.0), ("<score>85/100</score>", 85.0), ("<score>Score: 85</score>", 85.0),
        ("<think><score>1</score></think><score>85</score>", 85.0), ("<score>1</score><score>85</score>", 85.0),
        ("<score>120</score>", 100.0), ("<score>-5</score>", 0.0),
        ("<score>80-90</score>", None), ("<score>85", None), ("85", None), ("<think><score>1</score>", None),
    ],
)  # fmt: skip
def test_a_score(text: str, score: float | None) -> None:
    answer = read_score(text, 1)
    assert answer.scores == (None if score is None else (score,))
    assert (answer.status is FAILED) == (score is None)


def test_an_integer_of_ten() -> None:
    assert read_integer("<think>3</think><answer>7</answer>", 1) == Answer((0,), CLEAN, (7.0,))
    assert read_integer("<answer>11</answer>", 1) == Answer((0,), REPAIRED, (10.0,))
    assert read_integer("seven", 1) == Answer((0,), FAILED)


def test_samples_that_cannot_be_read_do_not_count_as_zero() -> None:
    assert mean_of_samples([80.0, None]) == 80.0
    assert mean_of_samples([80.0, None], compat=True) == (80.0 + 0.0) / 2
    assert mean_of_samples([None]) is None


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("<think>x</think><answer>[3]</answer>", 2), ("<answer>3</answer>", 2), ("<answer>[3] > [4]</answer>", 2),
        ("<think>[1]</think> So: <answer>Passage [3].</answer>", 2), ("<think>x</think><answer>[3]", 2),
        ("<answer>[1]</answer> no <answer>[3]</answer>", 2), ("<answer>[9]</answer>", None),
        ("<think>x <answer>[3]</answer>", None), ("", None), ("[3]", None),
    ],
)  # fmt: skip
def test_the_best_label(text: str, best: int | None) -> None:
    answer = read_best_label(text, 5)
    if best is None:
        assert answer == Answer((0, 1, 2, 3, 4), FAILED)
    else:
        assert answer.order == (best, *(at for at in range(5) if at != best))


def test_ties_keep_the_order_of_the_answer() -> None:
    assert read_ties("<think>1 > 2</think>\n[3] = [1] > [2]", 3).order == (2, 0, 1)
    assert read_ties("[3] > [1] > [3] > [2]", 3).order == read_ties("[3] > [1] > [2]", 3).order


def test_the_mean_is_taken_in_the_order_of_first_scoring(shared: Path) -> None:
    for row in rows(shared, "diver-grouprank", "scores"):
        if row["kind"] == "avg":
            found = mean_scores([(key, number(value)) for key, value in row["pairs"]])
            assert [key for key, _ in found] == [key for key, _ in row["result"]], row["id"]
            assert all(same(a, b) for (_, a), (_, b) in zip(found, row["result"], strict=True)), row["id"]


def test_golden_samples_of_retro_star(shared: Path) -> None:
    for row in rows(shared, "retro-star", "scores"):
        if row["kind"] == "samples":
            for texts, expected in zip(row["responses"], row["scores"], strict=True):
                samples = [(read_score(text, 1, compat=True).scores or (0.0,))[0] for text in texts]
                assert same(mean_of_samples(samples, compat=True) or 0.0, expected), row["id"]


def test_golden_formula_of_erank(shared: Path) -> None:
    for row in rows(shared, "erank", "scores"):
        if row["kind"] == "formula":
            assert same(weighted_integer(row["integer"], number(row["logprob"])), row["score"]), row["id"]
