"""Answers that share their prompt's computation: drawn from the model's own distribution, with its own gradients."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="pip install 'reasonrank-pyserini[train]'")

import torch
import training_kit as kit
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessorList,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from reasonrank_pyserini.errors import ReasonRankError
from reasonrank_pyserini.training.data import Encoder
from reasonrank_pyserini.training.grpo_trainer import in_groups, shared_log_probabilities
from reasonrank_pyserini.training.rollouts import sample_answers
from reasonrank_pyserini.types import Sampling

NANO = Path(__file__).parents[1] / "reasonrank_pyserini" / "models" / "nano"
END = 2


@pytest.fixture(scope="module")
def nano() -> Any:
    return AutoModelForCausalLM.from_pretrained(NANO).train()  # as in training; it has no dropout


def prompts(*passages: int) -> list[list[int]]:
    """One prompt of that many passages each."""
    encoder = Encoder(AutoTokenizer.from_pretrained(NANO))
    return [encoder.prompt(kit.example(n, passages=n)["prompt"]) for n in passages]


def logits_of(model: Any, prompt: list[int], answer: list[int]) -> Any:
    """The logits from which each token of an answer was drawn, by one pass over prompt and answer."""
    with torch.no_grad():
        found = model(input_ids=torch.tensor([prompt + answer])).logits[0]
    return found[len(prompt) - 1 : -1]


@pytest.mark.parametrize("longest", [400, 9])
def test_the_likeliest_answers_are_those_of_generate(nano: Any, longest: int) -> None:
    asked = [prompt for prompt, count in zip(prompts(3, 5, 4), (2, 1, 3), strict=True) for _ in range(count)]
    answers = sample_answers(
        nano, "cpu", asked, Sampling(temperature=1.0, top_k=1, max_tokens=longest), [END]
    )
    for prompt, answer in zip(asked, answers, strict=True):
        ids = torch.tensor([prompt])
        wanted = nano.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=longest, use_cache=True
        )
        assert answer == wanted[0, len(prompt) :].tolist()
        assert (answer[-1] == END) == (len(answer) < longest)


@pytest.mark.parametrize(
    ("limits", "warper"),
    [({"top_k": 3}, TopKLogitsWarper(3)), ({"top_p": 0.6}, TopPLogitsWarper(0.6))],
)
def test_top_k_and_top_p_hold_at_every_token_however_the_answers_end(
    nano: Any, limits: dict[str, Any], warper: Any
) -> None:
    """Sixty of the tokens end an answer, so that rows and answers leave the cache at different steps."""
    asked = [prompt for prompt, count in zip(prompts(3, 5, 4), (7, 4, 1), strict=True) for _ in range(count)]
    ends = random.Random(5).sample(range(nano.config.vocab_size), 60)
    torch.manual_seed(1)
    sampling = Sampling(temperature=2.0, max_tokens=100, **limits)
    answers = sample_answers(nano, "cpu", asked, sampling, ends)
    assert len({len(answer) for answer in answers}) > 4
    assert max(map(len, answers)) > 32  # the cache was narrowed more than once
    for prompt, answer in zip(asked, answers, strict=True):
        assert not set(answer[:-1]) & set(ends)
        assert answer[-1] in ends or len(answer) == 100
        possible = LogitsProcessorList([warper])(None, logits_of(nano, prompt, answer) / 2)
        assert all(row[token] > -torch.inf for row, token in zip(possible, answer, strict=True))


def test_answers_are_drawn_from_the_models_distribution_and_by_the_seed(nano: Any) -> None:
    first, other = prompts(3, 5)
    asked = [prompt for _ in range(20) for prompt in [first] * 150 + [other] * 2]
    sampling = Sampling(temperature=3.0, max_tokens=2)
    torch.manual_seed(1)
    answers = sample_answers(nano, "cpu", asked, sampling, [END])
    torch.manual_seed(1)
    assert sample_answers(nano, "cpu", asked, sampling, [END]) == answers
    drawn = [answer for prompt, answer in zip(asked, answers, strict=True) if prompt == first]
    start = Counter(answer[0] for answer in drawn)
    begins = next(token for token, _ in start.most_common() if token != END)
    second = Counter(answer[1] for answer in drawn if answer[0] == begins)
    logits = logits_of(nano, first, [begins, END]) / 3
    for seen, wanted in zip((start, second), torch.softmax(logits, -1), strict=True):
        count = sum(seen.values())
        assert count > 100
        for token, probability in enumerate(wanted.tolist()):
            spread = (count * probability * (1 - probability)) ** 0.5
            assert abs(seen[token] - count * probability) < 5 * spread + 3


def test_a_model_that_has_diverged_is_one_line() -> None:
    model = AutoModelForCausalLM.from_pretrained(NANO)
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    sampling = Sampling(temperature=1.0, max_tokens=4)
    with pytest.raises(ReasonRankError, match=r"diverged .*: set a lower learning_rate"):
        sample_answers(model, "cpu", prompts(3), sampling, [END])


def test_log_probabilities_and_gradients_are_those_of_whole_rows(nano: Any) -> None:
    from trl.trainer.utils import add_fused_lm_head

    a, b = prompts(3, 4)
    chance = random.Random(0)
    lengths = ((a, 5), (a, 7), (b, 1), (b, 7), (b, 3))
    rows = [(prompt, [chance.randrange(3, 2000) for _ in range(n)]) for prompt, n in lengths]
    ids, mask = torch.zeros(2, len(rows), max(len(a), len(b)) + 7, dtype=torch.long)
    for row, (prompt, answer) in enumerate(rows):
        place = slice(ids.shape[1] - 7 - len(prompt), ids.shape[1] - 7 + len(answer))
        ids[row, place], mask[row, place] = torch.tensor(prompt + answer), 1
    model = AutoModelForCausalLM.from_pretrained(NANO)
    add_fused_lm_head(model, temperature=1.5, outputs=("log_probs", "entropy"))
    output = shared_log_probabilities(model, ids, mask, 7)
    output.log_probs.mul(torch.arange(1, 8)).sum().backward()
    found = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    total = 0.0
    for row, (prompt, answer) in enumerate(rows):
        whole = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / 1.5
        scores = torch.log_softmax(whole, -1)
        wanted = scores[torch.arange(len(answer)), answer]
        torch.testing.assert_close(output.log_probs[row, : len(answer)], wanted, atol=1e-4, rtol=1e-4)
        entropy = -(scores.exp() * scores).sum(-1)
        torch.testing.assert_close(output.entropy[row, : len(answer)], entropy, atol=1e-4, rtol=1e-4)
        total = total + (wanted * torch.arange(1, len(answer) + 1)).sum()
    total.backward()
    for name, value in model.named_parameters():
        assert (found[name] - value.grad).abs().max() < 1e-4 * value.grad.abs().max() + 1e-5, name


def test_micro_batches_keep_the_answers_of_their_optimizer_step() -> None:
    chance = random.Random(1)
    prompt = chance.sample([1, 2, 3, 4] * 4, 16)
    batches = [
        {
            "prompt_ids": torch.tensor([[p, 9] for p in prompt[at : at + 4]]),
            "x": torch.arange(at, at + 4),
            "n": 7,
        }
        for at in range(0, 16, 4)
    ]
    found = in_groups(batches, 2)
    assert [batch["n"] for batch in found] == [7] * 4
    for step in (slice(0, 2), slice(2, 4)):
        one, other = ([tuple(zip(b["prompt_ids"][:, 0].tolist(), b["x"].tolist(), strict=True)) for b in both[step]]
                      for both in (batches, found))  # fmt: skip
        assert sorted(sum(one, ())) == sorted(sum(other, ()))
        kept = [p for p, _ in sum(other, ())]
        assert kept == sorted(kept)
