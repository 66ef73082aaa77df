"""Several servers behind one openai engine: who gets what, and what becomes of the work of one that fails."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import http_server as srv
import pytest
from openai_kit import SAMPLING, config, failure, no_key, server

from reasonrank_pyserini.engines import Engine, load_engine
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.errors import EngineError, ServersGoneError
from reasonrank_pyserini.types import Completion, Prompt

__all__ = ["no_key", "server"]  # fixtures

T = TypeVar("T")
LONG = {"backoff": 10_000, "max_backoff": 10_000}
"""A pause that no test can wait for: a call that takes it exceeds the time limit."""


@pytest.fixture
def other() -> Iterator[srv.Server]:
    with srv.Server() as running:
        yield running


def run(use: Callable[[Engine], Awaitable[T]], *urls: str, **args: Any) -> T:
    async def inside() -> T:
        async with load_engine("openai", config(*urls, api="completions", **args)) as engine:
            return await use(engine)

    return asyncio.run(asyncio.wait_for(inside(), 600))


def windows(count: int, tokens: int = 10) -> list[Prompt]:
    return [Prompt(token_ids=(number,) * tokens) for number in range(count)]


def asked(server: srv.Server) -> list[int]:
    """The windows by number, as they came."""
    return [request.body["prompt"][0] for request in server.requests]


async def burst(engine: Engine, prompts: Sequence[Prompt]) -> list[Completion]:
    return await asyncio.gather(*(engine.complete(prompt, SAMPLING) for prompt in prompts))


def server_details(engine: Engine) -> list[dict[str, Any]]:
    servers: list[dict[str, Any]] = engine.details["servers"]  # type: ignore[attr-defined]
    return servers


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def held_until(condition: Callable[[], bool]) -> srv.Behaviour:
    async def behave(exchange: srv.Exchange) -> None:
        await until(condition)
        await srv.answer()(exchange)

    return behave


# Who gets what


def test_the_fewest_outstanding_tokens_decide(server: srv.Server, other: srv.Server) -> None:
    server.always = other.always = held_until(lambda: len(server.requests + other.requests) == 1 + 18)
    large, small = 1000 + SAMPLING.max_tokens, 10 + SAMPLING.max_tokens
    assert 17 * small < large < 18 * small

    async def use(engine: Engine) -> list[dict[str, Any]]:
        await burst(engine, [Prompt(token_ids=(99,) * 1000), *windows(18)])
        return server_details(engine)

    first, second = run(use, server.url, other.url)
    assert (asked(server), len(asked(other))) == ([99], 18)
    assert (first["requests"], first["answers"], first["prompt_tokens"]) == (1, 1, 1000)
    assert (second["requests"], second["answers"], second["prompt_tokens"]) == (18, 18, 18 * 10)
    assert first["failures"] == second["failures"] == {}


def test_a_slow_server_gets_less(server: srv.Server, other: srv.Server) -> None:
    server.always = held_until(lambda: len(other.requests) >= 20)
    run(lambda engine: burst(ThrottledEngine(engine), windows(30)), server.url, other.url, concurrency=4)
    assert len(other.requests) >= 20
    assert sorted(asked(server) + asked(other)) == list(range(30))


def test_tokens_bound_each_server(server: srv.Server, other: srv.Server) -> None:
    server.always = other.always = held_until(lambda: len(server.requests + other.requests) >= 3 + 3)
    size = 10 + SAMPLING.max_tokens
    prompts = [*windows(12), Prompt(token_ids=(99,) * 10 * size)]  # the last one larger than the bound: alone
    run(lambda engine: burst(engine, prompts), server.url, other.url, tokens=3 * size)
    assert (server.peak, other.peak) == (3, 3)
    assert sorted(asked(server) + asked(other)) == [*range(12), 99]


MANY = """
import asyncio, sys
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.types import Prompt, Sampling

async def run() -> int:
    async with load_engine("openai", EngineConfig("tiny", base_urls=(sys.argv[1],), api="completions")) as engine:
        calls = (engine.complete(Prompt(token_ids=(number,)), Sampling(max_tokens=50)) for number in range(200))
        return len(await asyncio.gather(*calls))

print(asyncio.run(run()))
"""


@pytest.mark.parametrize(("limit", "at_once"), [("ulimit -Sn 160", 200), ("ulimit -n 160", 96)])
def test_a_limit_of_open_files_bounds_the_requests(server: srv.Server, limit: str, at_once: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 512:
        pytest.skip("the hard limit of open files is too low")
    command = [sys.executable, "-c", MANY, server.url]
    done = subprocess.run(
        ["bash", "-c", f'{limit}; exec "$@"', "bash", *command], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr
    assert server.peak <= at_once
    assert ("ulimit -n" in done.stderr) == (at_once == 96)


# One fails


def test_a_server_killed_half_way_loses_nothing(server: srv.Server, other: srv.Server) -> None:
    server.script(*[srv.answer()] * 10)
    server.always = srv.hang(after="<think> h")

    async def use(engine: Engine) -> list[dict[str, Any]]:
        work = asyncio.create_task(burst(engine, windows(60)))
        await until(lambda: server_details(engine)[0]["answers"] == 10 and server.in_flight == 20)
        await asyncio.to_thread(server.stop)
        assert all("</answer>" in completion.text for completion in await work)
        await burst(engine, windows(5))
        return server_details(engine)

    first, second = run(use, server.url, other.url, **LONG)
    answered = asked(server)[:10]
    assert sorted([*answered, *asked(other)[:50]]) == list(range(60))  # every window, none twice
    assert (len(asked(server)), len(asked(other))) == (30, 30 + 20 + 5)
    assert (first["answers"], second["answers"]) == (10, 55)
    assert sum(first["failures"].values()) == 20
    assert second["failures"] == {}


def test_a_server_that_always_fails_is_taken_out(server: srv.Server, other: srv.Server) -> None:
    server.always = srv.status(500)

    async def use(engine: Engine) -> None:
        await burst(engine, windows(20))
        await burst(engine, windows(20))

    run(use, server.url, other.url, attempts=1, **LONG)
    assert (len(server.requests), len(other.requests)) == (10, 20 + 20)


def test_a_silent_server_is_taken_out(server: srv.Server, other: srv.Server) -> None:
    server.always = srv.hang(after="<think> h")

    async def use(engine: Engine) -> None:
        await burst(engine, windows(10))
        await burst(engine, windows(10))

    run(use, server.url, other.url, inactivity_timeout=2, **LONG)
    assert (len(server.requests), len(other.requests)) == (5, 10 + 10)


def test_a_window_that_nobody_can_answer_takes_no_server_out(server: srv.Server, other: srv.Server) -> None:
    faults = {0: srv.status(500), 1: srv.status(400), 2: srv.status(400), 3: srv.status(400)}
    server.choose = other.choose = lambda request: faults.get(request.body["prompt"][0])

    async def use(engine: Engine) -> None:
        calls = (engine.complete(prompt, SAMPLING) for prompt in windows(4))
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [EngineError] * 4
        await burst(engine, windows(14)[4:])

    run(use, server.url, other.url, attempts=4)
    assert (asked(server) + asked(other)).count(0) == 4 + 4
    assert sum(n > 3 for n in asked(server)) == sum(n > 3 for n in asked(other)) == 5


# One comes back, or none


def test_a_server_that_comes_back_gets_one_request_then_its_share(
    server: srv.Server, other: srv.Server
) -> None:
    steps = 0

    async def slowly(exchange: srv.Exchange) -> None:
        await until(lambda: steps >= 1)
        await exchange.start_stream()
        await exchange.event({"choices": [srv.choice(exchange.request, text="<think>")]})
        await until(lambda: steps >= 2)
        await exchange.event({"choices": [srv.choice(exchange.request, text="[1]", finish="stop")]})
        await exchange.end_stream()

    server.stop()
    back = srv.Server(port=server.port, always=slowly)

    async def use(engine: Engine) -> None:
        nonlocal steps
        await burst(engine, windows(5))
        assert len(other.requests) == 5
        with back:
            calls: list[asyncio.Task[list[Completion]]] = []

            async def ask_until(enough: Callable[[], bool]) -> None:
                while not enough():
                    calls.append(asyncio.create_task(burst(engine, windows(5))))
                    await asyncio.sleep(0.01)

            await ask_until(lambda: bool(back.requests))
            await burst(engine, windows(10))
            assert len(back.requests) == 1
            steps = 1  # the first byte
            await ask_until(lambda: len(back.requests) > 1)
            steps = 2
            await asyncio.gather(*calls)
            before = (len(back.requests), len(other.requests))
            await burst(engine, windows(20))
            assert (len(back.requests), len(other.requests)) == (before[0] + 10, before[1] + 10)

    run(use, server.url, other.url)


def test_calls_wait_while_all_are_out(server: srv.Server, other: srv.Server) -> None:
    async def use(engine: Engine) -> list[Completion]:
        await burst(engine, windows(2))
        server.stop()
        other.stop()
        work = asyncio.create_task(burst(engine, windows(10)))
        await until(lambda: all(one["failures"] for one in server_details(engine)))
        with srv.Server(port=other.port) as back:
            completions = await work
            assert sorted(asked(back)) == list(range(10))
            return completions

    assert len(run(use, server.url, other.url, attempts=10_000)) == 10


def test_all_dead_ends_every_call(server: srv.Server, other: srv.Server) -> None:
    async def use(engine: Engine) -> list[Any]:
        await burst(engine, windows(2))
        server.always = other.always = srv.hang(after="<think> h")
        calls = [asyncio.create_task(engine.complete(prompt, SAMPLING)) for prompt in windows(8)]
        await until(lambda: server.in_flight + other.in_flight == 8)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(other.stop)
        return await asyncio.gather(*calls, return_exceptions=True)

    errors = run(use, server.url, other.url)
    assert [type(error) for error in errors] == [ServersGoneError] * 8
    assert all(url in str(error) for error in errors for url in (server.url, other.url))
    assert "no server answers" in failure(config(server.url, other.url))
