"""Shared by the tests of a Ray cluster: the cluster, small programs in vLLM's place, an engine over both, processes."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_vllm_server import FakeVLLM, ranking
from ray_cluster import TOKEN, RayCluster, ray_cluster

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.engines.openai.http_engine import OpenAIEngine
from reasonrank_pyserini.engines.servers import OwnServers
from reasonrank_pyserini.engines.vllm.ray_messages import ClusterJob
from reasonrank_pyserini.engines.vllm.ray_servers import RayServers, Wish
from reasonrank_pyserini.engines.vllm.vllm_command import ServeCommand
from reasonrank_pyserini.types import Completion, Prompt, Sampling

NEEDS_RAY = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]
KEY = "the-key-of-these-tests"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(cpus=2) as running:
        yield running


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def fake(tmp_path: Path) -> FakeVLLM:
    return FakeVLLM(tmp_path / "fake")


class Engine:
    """An HTTP engine over servers in the cluster."""

    def __init__(
        self, fake: FakeVLLM, address: str, wish: Wish, logs: Path | None = None, gpus: int = 0
    ) -> None:
        command = ServeCommand(str(fake.python), ("--served-model-name=tiny", "--max-model-len=4096"))
        self.fake = fake
        self.servers = RayServers(ClusterJob(address, gpus, command, KEY, "tiny"), wish, logs)
        own = OwnServers(KEY, 100, lambda sampling: {})
        self.engine = OpenAIEngine.of_own_servers(EngineConfig("tiny"), self.servers, own)

    def ask(self, count: int, first: int = 0) -> list[asyncio.Task[Completion]]:
        return [asyncio.create_task(self._one(number)) for number in range(first, first + count)]

    async def _one(self, number: int) -> Completion:
        return await self.engine.complete(Prompt(token_ids=ids(number)), Sampling(max_tokens=100))

    async def until(self, true: Any, seconds: float = 400.0) -> None:
        await asyncio.to_thread(self.fake.wait, true, seconds)


def ids(number: int) -> tuple[int, ...]:
    return tuple(range(number, number + 50))


def expected(count: int) -> list[str]:
    return [ranking(list(ids(number)), 20) for number in range(count)]


def actor_of(pid: int) -> psutil.Process:
    """The actor's process above a server's."""
    return next(parent for parent in psutil.Process(pid).parents() if "ServerActor" in parent.name())


def ray_child_of(pid: int) -> psutil.Process:
    """The process that is connected to Ray."""
    children = psutil.Process(pid).children()
    for child in children:
        with suppress(psutil.Error):  # one has just ended
            if any("ray_child" in word for word in child.cmdline()):
                return child
    raise AssertionError("no process is connected to the cluster")


def asked(fake: FakeVLLM) -> list[int]:
    """The calls that reached a server, by number."""
    return [event["body"]["prompt"][0] for event in fake.events("asked")]
