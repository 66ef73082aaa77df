from __future__ import annotations

import asyncio

import pytest

from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.types import Limits, Prompt, Sampling


def engine_with(requests: int, tokens: int | None = None, delay: float = 0.01) -> ScriptedEngine:
    engine = ScriptedEngine(lambda prompt, sampling: "", delay=delay)
    engine.limits = Limits(requests, tokens)
    return engine


def prompts(sizes: list[int]) -> list[tuple[Prompt, Sampling]]:
    return [(Prompt(token_ids=(0,) * size), Sampling(max_tokens=10)) for size in sizes]


async def run(engine: ScriptedEngine, sizes: list[int]) -> None:
    gated = ThrottledEngine(engine)
    await asyncio.gather(*(gated.complete(*call) for call in prompts(sizes)))


@pytest.mark.parametrize(("requests", "tokens", "most"), [(5, None, 5), (50, 30 * 3, 3), (2, 10**9, 2)])
def test_the_engine_is_kept_full_and_never_over(requests: int, tokens: int | None, most: int) -> None:
    engine = engine_with(requests, tokens)
    asyncio.run(run(engine, [20] * 20))  # each is 20 + 10 tokens
    assert (engine.calls, engine.most_in_flight) == (20, most)


def test_a_call_larger_than_the_token_limit_passes_alone() -> None:
    engine = engine_with(8, 100)
    asyncio.run(run(engine, [500, 10, 500, 10]))
    assert engine.calls == 4
    assert engine.most_in_flight <= 2


def test_cancelled_waiters_leave_no_hole() -> None:
    engine = engine_with(1, delay=10_000)

    async def work() -> None:
        gated = ThrottledEngine(engine)
        calls = [asyncio.ensure_future(gated.complete(*call)) for call in prompts([1] * 6)]
        for _ in range(6):
            await asyncio.sleep(0)
        assert engine.in_flight == 1
        engine.delay = 0  # of those that come after the first
        calls[0].cancel()
        calls[2].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(d, asyncio.CancelledError) for d in done] == [
            True,
            False,
            True,
            False,
            False,
            False,
        ]
        await gated.complete(*prompts([1])[0])

    asyncio.run(work())
    assert engine.calls == 6


def test_first_come_first_served() -> None:
    order: list[int] = []
    engine = ScriptedEngine(
        lambda prompt, sampling: order.append(len(prompt.token_ids or ())) or "", requests=1
    )
    asyncio.run(run(engine, [5, 4, 3, 2, 1]))
    assert order == [5, 4, 3, 2, 1]
