"""The openai engine: many calls at once, cancelled calls, servers that want fewer."""

from __future__ import annotations

import asyncio

import http_server as srv
import pytest
from openai_kit import CHAT, IDS, SAMPLING, config, no_key, server

from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.types import Completion

__all__ = ["no_key", "server"]  # fixtures

# Many at once


def test_concurrency_is_reached_and_not_limited_by_the_connections(server: srv.Server) -> None:
    """No answer comes before all have been asked."""

    async def together(exchange: srv.Exchange) -> None:
        while server.peak < 256:
            await asyncio.sleep(0.01)
        await srv.answer()(exchange)

    server.always = together

    async def run() -> list[Completion]:
        async with load_engine("openai", config(server.url, api="completions")) as engine:
            assert engine.limits.requests == 256
            calls = [engine.complete(IDS, SAMPLING) for _ in range(engine.limits.requests)]
            return await asyncio.gather(*calls)

    assert len(asyncio.run(asyncio.wait_for(run(), 600))) == 256
    assert server.peak == 256


def test_limits_follow_the_arguments() -> None:
    two = ("http://localhost:1/v1", "http://localhost:2/v1")
    assert load_engine("openai", config(*two)).limits.requests == 2 * 64
    engine = load_engine("openai", config(*two, concurrency=7, tokens=9000))
    assert (engine.limits.requests, engine.limits.tokens) == (7, 2 * 9000)


def test_a_cancelled_call_hangs_up(server: srv.Server) -> None:
    server.always = srv.hang(after="<think> h")

    async def run() -> None:
        async with load_engine("openai", config(server.url)) as engine:
            call = asyncio.create_task(engine.complete(CHAT, SAMPLING))
            while not server.in_flight:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while server.in_flight:
                await asyncio.sleep(0.01)
            server.always = None
            assert (await engine.complete(CHAT, SAMPLING)).text

    asyncio.run(asyncio.wait_for(run(), 600))
    assert server.gone == 1


def test_a_crowded_server_is_asked_less_at_once(server: srv.Server) -> None:
    server.delay = 0.05
    server.choose = lambda request: srv.status(429) if server.in_flight > 8 else None

    async def run() -> list[Completion]:
        async with load_engine("openai", config(server.url, concurrency=64)) as engine:
            return await asyncio.gather(*(engine.complete(CHAT, SAMPLING) for _ in range(64)))

    assert len(asyncio.run(asyncio.wait_for(run(), 600))) == 64
    assert len(server.requests) < 64 * 3
