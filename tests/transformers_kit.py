"""Shared by the tests of the transformers engine: prompts, one use of an engine in one line, steps that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.types import Completion, Prompt, Sampling

Work = Callable[[Engine], Awaitable[Any]]
LENGTHS = (3, 190, 41, 77, 12, 150, 64)


def prompt(number: int, length: int) -> Prompt:
    """Token ids of that many ordinary tokens, different for each number."""
    return Prompt(tuple(5 + (number * 7919 + place * 104_729) % 290 for place in range(length)))


def engine(model: Path | str, **args: Any) -> Engine:
    return load_engine("transformers", EngineConfig(str(model), args=args))


def use(model: Path | str, work: Work, **args: Any) -> Any:
    """What `work` gives on a started engine."""

    async def main() -> Any:
        async with engine(model, **args) as started:
            return await work(started)

    return asyncio.run(asyncio.wait_for(main(), 600))


async def together(started: Engine, prompts: list[Prompt], sampling: Sampling) -> list[Completion]:
    return list(await asyncio.gather(*(started.complete(item, sampling) for item in prompts)))


def texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], None]], None]:
    """Lets a check of the input ids run before each of the model's steps, where it can raise."""
    from transformers import Qwen2ForCausalLM

    real = Qwen2ForCausalLM.forward

    def install(check: Callable[[Any], None]) -> None:
        def checked(self: Any, **inputs: Any) -> Any:
            check(inputs["input_ids"])
            return real(self, **inputs)

        monkeypatch.setattr(Qwen2ForCausalLM, "forward", checked)

    return install
