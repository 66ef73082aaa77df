"""The judges of other rerankers against recorded answers of their authors' programs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rankers_kit import QUERY, asker, number, qwen, rows

from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import EngineError
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.asking import Asker
from reasonrank_pyserini.ranking.group_judges import GroupwiseJudge, SetwiseJudge
from reasonrank_pyserini.ranking.judge import Judge
from reasonrank_pyserini.ranking.pointwise_judge import PointwiseJudge, TextScorer
from reasonrank_pyserini.ranking.true_false_scorer import TrueFalseScorer
from reasonrank_pyserini.ranking.weighted_integer_scorer import WeightedIntegerScorer
from reasonrank_pyserini.types import (
    Completion,
    Document,
    ParseStatus,
    Prompt,
    Sampling,
    Verdict,
)  # fmt: skip

__all__ = ["qwen"]  # fixture

RANK1 = Sampling(max_tokens=8192, stop=("</think> true", "</think> false"), logprobs=20)


def documents(n: int) -> list[Document]:
    return [Document(f"d{at}", f"passage {at}") for at in range(n)]


def judged(judge: Judge, n: int, window: int = 0) -> Verdict:
    return asyncio.run(judge.judge(QUERY, documents(n), window))


def logprobs(request: Any) -> dict[int, float] | None:
    """The last position of a recorded request."""
    found = (request or {}).get("logprobs") or [None]
    return None if found[-1] is None else {int(id): number(value) for id, value in found[-1].items()}


class Recorded:
    """Answers with the recorded requests of each passage; the second ones are recorded for those that had one."""

    def __init__(self, row: dict[str, Any], finish: str = "stop") -> None:
        self.row, self.finish, self.asked = row, finish, list[tuple[Prompt, Sampling]]()
        ids = {row.get("true_id", 830), row.get("false_id", 895)}
        left = [at for at, first in enumerate(row["first"]) if not ids <= (logprobs(first) or {}).keys()]
        self._second = dict(zip(left or range(len(row["first"])), row["second"] or [], strict=False))

    def __call__(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.asked.append((prompt, sampling))
        place = int(prompt.text.partition("Passage: passage ")[2].partition("\n")[0])
        found = self._second.get(place) if sampling.allowed_ids else self.row["first"][place]
        if found is None:
            found = {"text": "", "logprobs": None, "num_tokens": 0}
        return Completion(
            found["text"],
            completion_tokens=found["num_tokens"],
            finish_reason=self.finish,
            logprobs=logprobs(found),
        )


def test_golden_scores_of_rank1(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank1", "scores"):
        script = Recorded(row)
        asker = Asker(PromptBuilder("rank1", qwen), ScriptedEngine(script), RANK1)
        scorer = TrueFalseScorer(asker, compat=True)
        assert (scorer.ids.true, scorer.ids.false) == (row["true_id"], row["false_id"])
        verdict = judged(PointwiseJudge(scorer, compat=True), len(row["first"]))
        if row["raises"] is not None:  # a division by zero, an overflow: here every passage keeps a score
            assert verdict.scores is not None
            assert all(map(math.isfinite, verdict.scores)), row["id"]
            continue
        expected = [number(score) for score in row["scores"]]
        assert list(verdict.scores or ()) == pytest.approx(expected, abs=1e-9, nan_ok=True) or (
            all(map(math.isnan, expected)) and verdict.scores is None
        ), row["id"]
        forced = [sampling for _, sampling in script.asked if sampling.allowed_ids]
        sent = [len(request["prompts"]) for request in row["requests"]]
        assert [len(script.asked) - len(forced), len(forced)] == [*sent, 0][:2] or not sent, row["id"]
        assert all((one.max_tokens, one.temperature, one.logprobs) == (1, 0, 20) for one in forced)


def test_a_forced_request_is_the_text_as_one(qwen: Any) -> None:
    row = {"first": [{"text": "\nIt is. So", "logprobs": [{}], "num_tokens": 9}], "second": [
        {"text": " true", "logprobs": [{"830": -0.2, "895": -1.7}], "num_tokens": 1}]}  # fmt: skip
    script = Recorded(row)
    asker = Asker(PromptBuilder("rank1", qwen), ScriptedEngine(script), RANK1)
    verdict = judged(PointwiseJudge(TrueFalseScorer(asker)), 1)
    (first, _), (second, sampling) = script.asked
    assert second.text == first.text + "\nIt is.\n</think>"
    assert list(second.token_ids or ()) == qwen(second.text).input_ids
    assert sampling.allowed_ids == (830, 895)
    assert verdict.status is ParseStatus.REPAIRED
    assert verdict.notes == {"forced": 1}
    assert verdict.completion is not None
    assert verdict.completion.text == "<think>\nIt is. So\nIt is.\n</think> true"


def test_an_answer_cut_by_its_limit_is_asked_again(qwen: Any) -> None:
    both = {"830": -0.1, "895": -3.0}
    row = {"first": [{"text": "\nIt is. So", "logprobs": [both], "num_tokens": 9}],
           "second": [{"text": " false", "logprobs": [{"830": -3.0, "895": -0.1}], "num_tokens": 1}]}  # fmt: skip
    for compat, expected in ((True, 1 / (1 + math.exp(-2.9))), (False, 1 / (1 + math.exp(2.9)))):
        asker = Asker(PromptBuilder("rank1", qwen), ScriptedEngine(Recorded(row, "length")), RANK1)
        verdict = judged(PointwiseJudge(TrueFalseScorer(asker, compat=compat)), 1)
        assert verdict.scores == pytest.approx((expected,))


def sequence(texts: Sequence[str]) -> Callable[[Prompt, Sampling], str]:
    left: Iterator[str] = iter(texts)
    return lambda *_: next(left)


def test_golden_samples_of_retro_star(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "retro-star", "scores"):
        if row["kind"] != "samples":
            continue
        texts = [text for some in row["responses"] for text in some]
        scorer = TextScorer(asker("retro-star", qwen, sequence(texts)), "score", compat=True)
        verdict = judged(PointwiseJudge(scorer, samples=row["sample_k"], compat=True), len(row["scores"]))
        assert list(verdict.scores or ()) == pytest.approx(row["scores"], abs=1e-9), row["id"]


def test_golden_groups_of_one_query(shared: Path, qwen: Any) -> None:
    """The judge's part: each group's scores; which groups there are, and their mean, is the strategy's."""
    for row in rows(shared, "diver-grouprank", "scores"):
        if (
            row["kind"] != "epochs" or len(row["qids"]) > 1
        ):  # one stream of random numbers over several queries
            continue
        judge = GroupwiseJudge(
            asker("diver-grouprank", qwen, sequence(row["responses"])), "group-scores", compat=True
        )
        found: dict[str, list[float]] = {}
        for group in (group for epoch in row["epochs"] for group in epoch):
            shown = [Document(docid, docid) for docid in group["docids"]]
            verdict = asyncio.run(judge.judge(QUERY, shown))
            for docid, score in zip(group["docids"], verdict.scores or (), strict=True):
                if not math.isnan(score):
                    found.setdefault(docid, []).append(score)
        means = {docid: sum(scores) / len(scores) for docid, scores in found.items()}
        ((_, result),) = row["result"].items()
        assert {docid: means[docid] for docid, _ in result} == pytest.approx(dict(result), abs=1e-9), row[
            "id"
        ]
        assert len(result) == min(len(means), row["topk"])


def test_golden_choices_of_rank_r1(shared: Path, qwen: Any) -> None:
    for row in rows(shared, "rank-r1", "parses"):
        if row["seed"] != 929:  # what the authors' program seeds with
            continue
        reading = "best-label-unreasoned" if row["prompt_file"] == "prompt_setwise.toml" else "best-label"
        texts = row["completions"]
        judge = SetwiseJudge(
            asker("rank-r1", qwen, sequence(texts)), reading, shuffled=True, samples=len(texts), compat=True
        )
        verdict = judged(judge, row["n"])
        best = None if verdict.status is ParseStatus.FAILED else verdict.order[0]
        assert best == row["best"], row["id"]


def test_shuffles_are_the_same_whatever_was_judged_before(qwen: Any) -> None:
    def shown(windows: Sequence[int]) -> list[str]:
        seen: list[str] = []

        def script(prompt: Prompt, sampling: Sampling) -> str:
            seen.append(prompt.text)
            return "<answer>[1]</answer>"

        judge = SetwiseJudge(asker("rank-r1", qwen, script), "best-label", shuffled=True, seed=5)
        for window in windows:
            judged(judge, 9, window)
        return seen

    assert shown([3]) == shown([0, 1, 3])[-1:]
    assert len(set(shown([0, 1, 2]))) == 3


def test_the_chosen_passage_is_first_wherever_it_was_shown(qwen: Any) -> None:
    def script(prompt: Prompt, sampling: Sampling) -> str:
        lines = prompt.text.splitlines()
        (line,) = [line for line in lines if line.endswith(": passage 6")]
        return f"<think>so</think><answer>{line.partition(':')[0]}</answer>"

    for seed in range(5):
        judge = SetwiseJudge(asker("rank-r1", qwen, script), "best-label", shuffled=True, seed=seed)
        assert judged(judge, 9).order == (6, 0, 1, 2, 3, 4, 5, 7, 8)


def test_a_pointwise_judge_orders_a_window_by_score(qwen: Any) -> None:
    texts = {0: "<score>10</score>", 1: "none", 2: "<score>90</score>", 3: "<score>10</score>"}

    judge = PointwiseJudge(TextScorer(asker("retro-star", qwen, by_passage(texts)), "score"))
    verdict = judged(judge, 4)
    assert verdict.order == (2, 0, 3, 1)
    assert verdict.scores == pytest.approx((10.0, math.nan, 90.0, 10.0), nan_ok=True)
    assert verdict.status is ParseStatus.REPAIRED
    assert verdict.notes == {"unscored": 1}


def test_a_group_counts_passages_without_a_score(qwen: Any) -> None:
    partial = 'Scores: {"[1]": 7, "[3]": 4}'
    for text in (partial, "no scores here"):
        judge = GroupwiseJudge(asker("diver-grouprank", qwen, lambda *_, text=text: text), "group-scores")
        verdict = judged(judge, 3)
        missing = (
            [0, 1, 2] if verdict.scores is None else [at for at in range(3) if math.isnan(verdict.scores[at])]
        )
        assert verdict.notes.get("unscored", 0) == len(missing) > 0, text


def by_passage(texts: dict[int, str]) -> Callable[[Prompt, Sampling], str]:
    """Answers by the number of the only passage shown."""

    def script(prompt: Prompt, sampling: Sampling) -> str:
        (found,) = [text for at, text in texts.items() if f"\npassage {at}\n" in prompt.text]
        return found

    return script


def test_samples_have_seeds_of_their_own(qwen: Any) -> None:
    seeds: list[int | None] = []

    def script(prompt: Prompt, sampling: Sampling) -> str:
        seeds.append(sampling.seed)
        return f"<score>{len(seeds)}</score>"

    judge = PointwiseJudge(TextScorer(asker("retro-star", qwen, script), "score"), samples=4)
    verdict = judged(judge, 1)
    assert verdict.scores == (pytest.approx((1 + 2 + 3 + 4) / 4),)
    assert len(set(seeds)) == 4


def test_an_integer_times_the_probability_of_its_tokens(qwen: Any) -> None:
    one, zero, seven = (qwen(digit).input_ids[0] for digit in "107")
    asked: list[str] = []

    def script(prompt: Prompt, sampling: Sampling) -> Completion:
        asked.append(prompt.text)
        if prompt.text.endswith("<answer>"):
            likely = {seven: math.log(0.8), one: math.log(0.5)}
            return Completion("7", completion_tokens=1, logprobs=likely)
        if prompt.text.endswith("<answer>1"):
            return Completion("0", completion_tokens=1, logprobs={zero: math.log(0.25)})
        integer = "7" if "\npassage 0\n" in prompt.text else "10"
        return Completion(f"<think>so</think><answer>{integer}</answer>", completion_tokens=9)

    judge = PointwiseJudge(WeightedIntegerScorer(asker("erank", qwen, script, logprobs=20)))
    verdict = judged(judge, 2)
    assert verdict.scores == pytest.approx((7 * 0.8, 10 * 0.5 * 0.25))
    assert len(asked) == 2 + 1 + 2
    assert all(text.endswith(("assistant\n", "<answer>", "<answer>1")) for text in asked)


def test_an_answer_without_an_integer_has_no_score(qwen: Any) -> None:
    judge = PointwiseJudge(WeightedIntegerScorer(asker("erank", qwen, lambda *_: "seven", logprobs=20)))
    verdict = judged(judge, 1)
    assert (verdict.status, verdict.scores, verdict.notes) == (ParseStatus.FAILED, None, {"unscored": 1})


@pytest.mark.parametrize(("style", "scorer"), [("rank1", TrueFalseScorer), ("erank", WeightedIntegerScorer)])
def test_an_engine_without_probabilities_is_an_error(style: str, scorer: Any, qwen: Any) -> None:
    judge = PointwiseJudge(scorer(asker(style, qwen, lambda *_: "<answer>7</answer>", logprobs=20)))
    with pytest.raises(EngineError, match="gives no log-probabilities by token id"):
        judged(judge, 1)
