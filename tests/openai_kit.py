"""Shared by the tests of the openai engine: a key-free environment, a server, and one call in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import http_server as srv
import pytest

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.errors import EngineError
from reasonrank_pyserini.types import Completion, Prompt, Sampling

IDS = Prompt(token_ids=(5, 6, 7, 8), text="[1] a")
CHAT = Prompt(messages=({"role": "system", "content": "rank"}, {"role": "user", "content": "[1] a\n[2] b"}))
SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.1, seed=11, max_tokens=50)
FAST = {"backoff": 0.01, "max_backoff": 0.02}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[srv.Server]:
    with srv.Server() as running:
        yield running


def config(*urls: str, api: str = "chat", model: str = "tiny", **args: Any) -> EngineConfig:
    mode = "chat" if api == "chat" else "completions"
    return EngineConfig(model, base_urls=urls, api=mode, args=FAST | args)  # type: ignore[arg-type]


def ask(setup: EngineConfig, prompt: Prompt | None = None, sampling: Sampling = SAMPLING) -> Completion:
    async def run() -> Completion:
        async with load_engine("openai", setup) as engine:
            return await engine.complete(prompt or (CHAT if setup.api == "chat" else IDS), sampling)

    return asyncio.run(asyncio.wait_for(run(), 600))


def failure(setup: EngineConfig) -> str:
    with pytest.raises(EngineError) as caught:
        ask(setup)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message
