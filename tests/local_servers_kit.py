"""Shared by the tests of servers that an engine starts: a stand-in for vLLM, an engine over it, calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fake_vllm_server import FakeVLLM

from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.types import Completion, Prompt, Sampling

T = TypeVar("T")
ANSWER = Sampling(max_tokens=100)


@pytest.fixture
def fake(tmp_path: Path) -> FakeVLLM:
    return FakeVLLM(tmp_path / "fake")


def engine_of(fake: FakeVLLM, model: Path, replicas: int | None = None, **more: Any) -> Engine:
    config = EngineConfig(
        str(model), max_model_len=1024, vllm_python=str(fake.python), replicas=replicas, **more
    )
    return load_engine("vllm", config)


def prompt(number: int) -> Prompt:
    return Prompt(token_ids=(number, number + 1, 5))


async def answers(engine: Engine, numbers: range) -> list[Completion]:
    return await asyncio.gather(*(engine.complete(prompt(number), ANSWER) for number in numbers))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 600))


async def until(true: Any) -> None:
    """Until that is true, by turns of this loop."""
    async with asyncio.timeout(400):
        while not true():
            await asyncio.sleep(0.02)
