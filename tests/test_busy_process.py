"""A process that is too busy to read what servers send does not take them for failed."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import http_server as srv
import pytest
from openai_kit import FAST, SAMPLING, config, failure, no_key

from reasonrank_pyserini.engines import Engine, EngineConfig, engine_details, load_engine
from reasonrank_pyserini.types import Completion, Prompt

__all__ = ["no_key"]  # fixture


@pytest.fixture
def servers() -> Iterator[tuple[srv.Server, srv.Server]]:
    with srv.Server() as one, srv.Server() as other:
        yield one, other


def run(
    servers: Sequence[srv.Server], use: Callable[[Engine], Awaitable[Any]], **args: object
) -> Sequence[Mapping[str, int]]:
    """The failures of each server, by kind."""

    async def inside() -> Sequence[Mapping[str, int]]:
        setup = EngineConfig("tiny", base_urls=tuple(server.url for server in servers), args=FAST | args)
        async with load_engine("openai", setup) as engine:
            await use(engine)
            return [server["failures"] for server in engine_details(engine)["servers"]]

    return asyncio.run(asyncio.wait_for(inside(), 600))


async def burst(engine: Engine, count: int) -> list[Completion]:
    return await asyncio.gather(
        *(engine.complete(Prompt(token_ids=(number,) * 10), SAMPLING) for number in range(count))
    )


def test_a_connection_that_a_busy_process_was_late_for_is_not_the_server_s_failure(
    servers: tuple[srv.Server, srv.Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="reasonrank_pyserini")

    async def busy(engine: Engine) -> None:
        calls = asyncio.create_task(burst(engine, 8))
        for _ in range(
            20
        ):  # connecting takes several turns of the loop, each longer than half of the timeout
            time.sleep(0.2)
            await asyncio.sleep(0)
        assert len(await calls) == 8

    failures = run(servers, busy, connect_timeout=0.3, attempts=1)
    assert sum(found["busy"] for found in failures) >= 1
    assert {kind for found in failures for kind in found} == {"busy"}
    assert "this process was too busy to connect to http://127.0.0.1" in caplog.text
    assert "no requests there" not in caplog.text
    assert "cancel scope" not in caplog.text.lower()


def test_silence_that_a_busy_process_did_not_listen_to_is_not_the_server_s(
    servers: tuple[srv.Server, srv.Server],
) -> None:
    """All calls have been made by then, and are answered while nobody listens."""
    calls, silence, listening = 8, 1.5, True

    async def until_nobody_listens(exchange: srv.Exchange) -> None:
        while listening:
            await asyncio.sleep(0.001)
        await srv.answer()(exchange)

    async def busy(engine: Engine) -> None:
        nonlocal listening
        answers = asyncio.create_task(burst(engine, calls))
        while sum(server.in_flight for server in servers) < calls:
            await asyncio.sleep(0)
        listening = False
        for _ in range(5):  # reading an answer takes several turns, each longer than the timeout
            time.sleep(silence * 1.2)
            await asyncio.sleep(0)
        await answers

    for server in servers:
        server.always = until_nobody_listens
    assert run(servers, busy, inactivity_timeout=silence, attempts=1) == [{}, {}]


def test_a_server_that_is_silent_while_the_process_listens_still_fails(
    servers: tuple[srv.Server, srv.Server],
) -> None:
    servers[0].always = srv.hang()
    assert "no byte from" in failure(config(servers[0].url, inactivity_timeout=0.3, attempts=1))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse where a queue is full")
def test_an_address_that_takes_no_connection_is_said_in_plain_words() -> None:
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())  # the queue has one place
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        said = failure(config(url, connect_timeout=3, attempts=1))
    assert said.startswith(f"no server answers at {url} within 3 s (connect_timeout): is it running there?")


def test_every_call_of_a_burst_is_answered(
    servers: tuple[srv.Server, srv.Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="reasonrank_pyserini")

    async def use(engine: Engine) -> None:
        assert len(await burst(engine, 400)) == 400

    pauses = {"backoff": 0.05, "max_backoff": 10}  # the slower the machine, the longer
    failures = run(servers, use, concurrency=1000, connect_timeout=0.3, attempts=1, **pauses)
    assert {kind for found in failures for kind in found} <= {"busy"}
    assert "no requests there" not in caplog.text
