"""The transformers engine when a step of the model fails: who gets the error, and what goes on working."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers_kit import LENGTHS, forward, prompt, together, use

from reasonrank_pyserini.engines import Engine
from reasonrank_pyserini.errors import EngineDiedError, EngineError
from reasonrank_pyserini.types import Completion, Sampling

__all__ = ["forward"]  # a fixture


def test_a_prompt_for_which_memory_never_suffices_is_an_error_of_its_own(
    tiny_model: Path, forward: Any
) -> None:
    import torch

    def check(ids: Any) -> None:
        if ids.shape[1] >= 100:
            raise torch.OutOfMemoryError("CUDA out of memory")

    forward(check)

    async def work(started: Engine) -> list[Any]:
        calls = [
            started.complete(prompt(i, n), Sampling(max_tokens=8)) for i, n in enumerate((20, 100, 30, 120))
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = use(tiny_model, work)
    assert [type(item) for item in found] == [Completion, EngineError, Completion, EngineError]
    assert "out of memory with one request of 100 prompt tokens: lower `reasoning_tokens`" in str(found[1])


def test_an_error_while_reading_a_prompt_fails_that_request_alone(tiny_model: Path, forward: Any) -> None:
    def check(ids: Any) -> None:
        if ids.shape[1] == 77:
            raise RuntimeError("a shape does not fit\nhere")

    forward(check)

    async def work(started: Engine) -> list[Any]:
        calls = [started.complete(prompt(i, n), Sampling(max_tokens=8)) for i, n in enumerate(LENGTHS)]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = use(tiny_model, work)
    assert [type(item).__name__ for item in found] == ["Completion"] * 3 + ["EngineError"] + [
        "Completion"
    ] * 3
    assert "77 tokens: RuntimeError: a shape does not fit here" in str(found[3])


def test_an_error_in_a_step_reaches_every_row_and_the_next_batch_works(
    tiny_model: Path, forward: Any
) -> None:
    failures = iter([True])

    def check(ids: Any) -> None:
        if ids.shape == (3, 1) and next(failures, False):
            raise RuntimeError("boom")

    forward(check)

    async def work(started: Engine) -> None:
        calls = [started.complete(prompt(i, 9), Sampling(max_tokens=8)) for i in range(3)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(item).partition(": ")[2] for item in found] == ["RuntimeError: boom"] * 3
        again = await together(started, [prompt(i, 9) for i in range(3)], Sampling(max_tokens=8))
        assert [item.completion_tokens for item in again] == [8, 8, 8]

    use(tiny_model, work)


def test_a_lost_device_is_the_end_of_the_engine(tiny_model: Path, forward: Any) -> None:
    def check(ids: Any) -> None:
        if ids.shape[1] == 5:
            raise RuntimeError("CUDA error: device-side assert triggered")

    forward(check)

    async def work(started: Engine) -> None:
        calls = [
            started.complete(prompt(i, n), Sampling(max_tokens=2000)) for i, n in enumerate((9, 8, 5, 7))
        ]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(item) for item in found] == [EngineDiedError] * 4
        with pytest.raises(EngineDiedError, match="device-side assert"):
            await started.complete(prompt(0, 9), Sampling(max_tokens=1))

    use(tiny_model, work)


def test_weights_that_give_nan_are_an_error_and_no_text(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = shutil.copytree(tiny_model, tmp_path / "model")
    network = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        network.model.norm.weight.fill_(float("nan"))
    network.save_pretrained(model)

    async def work(started: Engine) -> None:
        for temperature in (0.0, 0.6):
            with pytest.raises(EngineError, match="NaN"):
                await started.complete(prompt(0, 9), Sampling(temperature=temperature, max_tokens=4))

    use(model, work)
