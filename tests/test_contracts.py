"""The shipped contract checks, over everything shipped, and that they can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fake_vllm_server import FakeVLLM
from http_server import Server

from reasonrank_pyserini import SlidingWindow
from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.engines.servers import FixedServers
from reasonrank_pyserini.strategies import STRATEGIES, RankingStrategy, named_strategy
from reasonrank_pyserini.testing import check_engine, check_servers, check_strategy
from reasonrank_pyserini.types import Completion, Flow, Prompt, Sampling

PROMPT = Prompt(token_ids=tuple(range(3, 40)), text="x", messages=({"role": "user", "content": "x"},))
SAMPLING = Sampling(max_tokens=8)


def test_the_scripted_engine_and_the_wrappers() -> None:
    asyncio.run(check_engine(ScriptedEngine(lambda prompt, sampling: "a b", delay=0.001), PROMPT, SAMPLING))
    asyncio.run(
        check_engine(
            ThrottledEngine(ScriptedEngine(lambda prompt, sampling: "a", requests=1)), PROMPT, SAMPLING
        )
    )


def test_a_recording_engine(tmp_path: Path) -> None:
    answers = iter("abcd")
    recorded = Recorded(ScriptedEngine(lambda prompt, sampling: next(answers), delay=0.01), Journal(tmp_path))
    asyncio.run(check_engine(recorded, PROMPT, SAMPLING))


def test_the_transformers_engine(tiny_model: Path) -> None:
    asyncio.run(check_engine(load_engine("transformers", EngineConfig(str(tiny_model))), PROMPT, SAMPLING))


def test_the_openai_engine() -> None:
    with Server(models=["tiny"], delay=0.01) as server:
        config = EngineConfig("tiny", base_urls=(server.url,), api="chat")
        chat = Prompt(messages=PROMPT.messages)
        asyncio.run(check_engine(load_engine("openai", config), chat, Sampling(max_tokens=400)))


def vllm_engine(fake: FakeVLLM, model: Path) -> Engine:
    config = EngineConfig(str(model), max_model_len=1024, vllm_python=str(fake.python))
    return load_engine("vllm", config)


def test_the_vllm_engine(tiny_model: Path, tmp_path: Path) -> None:
    engine = vllm_engine(FakeVLLM(tmp_path / "fake"), tiny_model)
    asyncio.run(check_engine(engine, Prompt(token_ids=(5, 6, 7)), Sampling(max_tokens=400)))


def test_servers_of_every_kind(tiny_model: Path, tmp_path: Path) -> None:
    listed = tmp_path / "servers.txt"
    listed.write_text("http://127.0.0.1:8000\nhttp://127.0.0.1:8001/v1\n")
    fixed = load_engine("openai", EngineConfig("tiny", base_urls=("http://127.0.0.1:8000/v1",)))
    file = load_engine("openai", EngineConfig("tiny", servers=listed))
    for engine in (fixed, file):
        asyncio.run(check_servers(engine.servers))  # type: ignore[attr-defined]
    local = vllm_engine(FakeVLLM(tmp_path / "fake"), tiny_model)
    asyncio.run(check_servers(local.new_servers("a key")))  # type: ignore[attr-defined]


def test_servers_without_any_address_are_found() -> None:
    with pytest.raises(AssertionError, match="no address"):
        asyncio.run(check_servers(FixedServers(())))


def test_an_engine_that_exceeds_its_budget_is_found() -> None:
    wordy = ScriptedEngine(lambda prompt, sampling: Completion("x", completion_tokens=9))
    with pytest.raises(AssertionError, match="more tokens than the budget"):
        asyncio.run(check_engine(wordy, PROMPT, SAMPLING))


@pytest.mark.parametrize(
    "strategy",
    [
        SlidingWindow(5, 2, passes=3),
        SlidingWindow(20, 30, compat=True),
        *(named_strategy(name, {}) for name in STRATEGIES),
    ],
)
def test_every_strategy(strategy: RankingStrategy) -> None:
    check_strategy(strategy)


def test_a_strategy_that_loses_candidates_is_found() -> None:
    class Lossy(SlidingWindow):
        def rank(self, n: int) -> Flow:
            yield [tuple(range(n))]
            return (0,) * n

    with pytest.raises(AssertionError, match="not a permutation"):
        check_strategy(Lossy(), [5])
