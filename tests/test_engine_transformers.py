"""The text of the transformers engine: as generate or the sampling gives it, whatever else runs or fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import small_models
from transformers_kit import LENGTHS, engine, forward, prompt, texts, together, use

from reasonrank_pyserini.engines import Engine
from reasonrank_pyserini.types import Completion, Prompt, Sampling

__all__ = ["forward"]  # a fixture


@pytest.fixture(scope="module")
def alone(tiny_model: Path) -> list[Completion]:
    """Each of the seven prompts completed greedily, one at a time."""

    async def work(started: Engine) -> list[Completion]:
        sampling = Sampling(max_tokens=24)
        return [await started.complete(prompt(i, n), sampling) for i, n in enumerate(LENGTHS)]

    found: list[Completion] = use(tiny_model, work)
    return found


def reference(model: Path, item: Prompt, new: int) -> str:
    """The text that transformers' own greedy generation gives for one prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = torch.tensor([item.token_ids])
    made = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
    text: str = AutoTokenizer.from_pretrained(model).decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return text


def test_it_is_an_engine_by_name(tiny_model: Path) -> None:
    made = engine(tiny_model, batch_size=4, device="cpu")
    assert isinstance(made, Engine)
    assert made.limits.requests == 2 * 4


@pytest.mark.filterwarnings("error:.past_key_values:FutureWarning")
def test_greedy_text_is_that_of_generate(tiny_model: Path, alone: list[Completion]) -> None:
    for i in (0, 1, 3):
        assert alone[i].text == reference(tiny_model, prompt(i, LENGTHS[i]), 24)
        assert (alone[i].prompt_tokens, alone[i].completion_tokens) == (LENGTHS[i], 24)
        assert alone[i].finish_reason == "length"


@pytest.mark.parametrize("batch_size", [2, 7])
def test_greedy_text_does_not_depend_on_the_batch(
    tiny_model: Path, alone: list[Completion], batch_size: int
) -> None:
    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_size=batch_size)) == texts(alone)


def test_greedy_text_does_not_depend_on_who_joins_and_leaves(
    tiny_model: Path, alone: list[Completion]
) -> None:
    async def work(started: Engine) -> list[Completion]:
        async def late(i: int) -> Completion:
            await asyncio.sleep(0.02 * i)
            return await started.complete(prompt(i, LENGTHS[i]), Sampling(max_tokens=24))

        others = [
            asyncio.create_task(started.complete(prompt(50 + i, 30 + 9 * i), Sampling(max_tokens=5 + 8 * i)))
            for i in range(6)
        ]
        found = await asyncio.gather(*(late(i) for i in range(len(LENGTHS))))
        lengths = [(await other).completion_tokens for other in others]
        assert lengths == [5 + 8 * i for i in range(6)]
        return list(found)

    assert texts(use(tiny_model, work, batch_size=5)) == texts(alone)


@pytest.mark.parametrize("budget", [1, 300])
def test_the_token_budget_splits_a_batch_and_changes_nothing(
    tiny_model: Path, alone: list[Completion], budget: int
) -> None:
    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_tokens=budget)) == texts(alone)


@pytest.mark.parametrize("name", ["Mistral", "Qwen3", "Gemma2"])
def test_other_architectures_give_the_text_of_generate(tmp_path: Path, name: str) -> None:
    model = small_models.build_architecture(tmp_path / name, name)
    prompts = [prompt(i, n) for i, n in enumerate((40, 7, 23))]

    async def work(started: Engine) -> list[Completion]:
        return await together(started, prompts, Sampling(max_tokens=30))

    assert texts(use(model, work)) == [reference(model, item, 30) for item in prompts]


def test_a_seed_gives_its_text_whatever_runs_at_the_same_time(tiny_model: Path) -> None:
    def sampling(seed: int) -> Sampling:
        return Sampling(temperature=0.9, top_p=0.95, top_k=40, seed=seed, max_tokens=20)

    async def work(started: Engine) -> None:
        first = await started.complete(prompt(1, 50), sampling(7))
        crowd = [started.complete(prompt(9 + i, 20 + 30 * i), sampling(i)) for i in range(4)]
        again, other, *_ = await asyncio.gather(
            started.complete(prompt(1, 50), sampling(7)), started.complete(prompt(1, 50), sampling(8)), *crowd
        )
        assert again.text == first.text
        assert other.text != first.text
        unseeded = await together(started, [prompt(1, 50)] * 2, Sampling(temperature=1.5, max_tokens=20))
        assert unseeded[0].text != unseeded[1].text

    use(tiny_model, work)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_k=1, max_tokens=24),
        Sampling(temperature=1.0, top_p=1e-9, max_tokens=24),
        Sampling(temperature=1.0, min_p=1.0, max_tokens=24),
        Sampling(temperature=1e-6, max_tokens=24),
        Sampling(temperature=1e-4, max_tokens=24, seed=-(2**70)),
    ],
)
def test_the_narrowest_sampling_is_greedy(
    tiny_model: Path, alone: list[Completion], sampling: Sampling
) -> None:
    async def work(started: Engine) -> Completion:
        return await started.complete(prompt(3, LENGTHS[3]), sampling)

    assert use(tiny_model, work).text == alone[3].text


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1.0), (0.5, 0.3, 0.15, 0.05)),
        (Sampling(temperature=0.5), (0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365)),
        (Sampling(temperature=1.0, top_k=2), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
        (Sampling(temperature=1.0, top_p=0.79), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
        (Sampling(temperature=1.0, top_p=0.81), (0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0)),
        (Sampling(temperature=1.0, min_p=0.29), (0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0)),
        (Sampling(temperature=1.0, top_k=3, top_p=0.6), (0.5 / 0.8, 0.3 / 0.8, 0, 0)),
    ],
)
def test_tokens_are_drawn_with_the_filtered_probabilities(
    sampling: Sampling, expected: tuple[float, ...]
) -> None:
    import torch

    from reasonrank_pyserini.engines.cached_decoding import draw

    logits = torch.log(torch.tensor([0.3, 0.05, 0.5, 0.15]))  # ranks: 2, 0, 3, 1
    generator = torch.Generator().manual_seed(1)
    drawn = [draw(logits, sampling, generator) for _ in range(2000)]
    for token, share in zip((2, 0, 3, 1), expected, strict=True):
        assert drawn.count(token) / 2000 == pytest.approx(share, abs=0.04)
        assert (drawn.count(token) == 0) == (share == 0)


def test_cancelling_a_call_leaves_the_others_alone(
    tiny_model: Path, alone: list[Completion], forward: Any
) -> None:
    steps: list[int] = []
    forward(lambda ids: steps.append(1))

    async def work(started: Engine) -> list[Completion]:
        doomed = [asyncio.create_task(started.complete(prompt(30, 60), Sampling(max_tokens=16000)))]
        kept = [
            asyncio.create_task(started.complete(prompt(i, n), Sampling(max_tokens=24)))
            for i, n in enumerate(LENGTHS)
        ]
        doomed += [asyncio.create_task(started.complete(prompt(31, 60), Sampling(max_tokens=16000)))]
        while len(steps) < 5:
            await asyncio.sleep(0.001)
        for task in doomed:
            task.cancel()
        assert all(
            isinstance(gone, asyncio.CancelledError)
            for gone in await asyncio.gather(*doomed, return_exceptions=True)
        )
        return list(await asyncio.gather(*kept))

    assert texts(use(tiny_model, work, batch_size=3)) == texts(alone)


def test_out_of_memory_halves_the_batch_and_changes_nothing(
    tiny_model: Path, alone: list[Completion], forward: Any
) -> None:
    import torch

    refused: list[int] = []

    def check(ids: Any) -> None:
        if ids.shape[0] > 2:
            refused.append(ids.shape[0])
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    forward(check)

    async def work(started: Engine) -> list[Completion]:
        return await together(started, [prompt(i, n) for i, n in enumerate(LENGTHS)], Sampling(max_tokens=24))

    assert texts(use(tiny_model, work, batch_size=7)) == texts(alone)
    assert refused[0] == 7
    assert len(refused) <= 2  # 7 -> 3 -> 1
