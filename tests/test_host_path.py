"""What happens next to the model: where prompts are built, how final orders are kept."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.jobs.orders import Orders, Renamed
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.prompts.prompt_thread import PromptThread
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.types import Prompt, Sampling, Verdict

DOCUMENTS = [Document("a", "one"), Document("b", "two")]


class Watched(PromptBuilder):
    """Builds nothing before `expected` windows have been asked for; notes the threads, and how many build at once."""

    def __init__(self, expected: int) -> None:
        super().__init__("reasonrank", None)
        self.asked, self.expected, self.all_asked = 0, expected, threading.Event()
        self.threads: set[int] = set()
        self.building, self.most = 0, 0

    def ask(self) -> None:
        self.asked += 1
        if self.asked == self.expected:
            self.all_asked.set()

    def build(self, *arguments: Any, **more: Any) -> Any:
        assert self.all_asked.wait(600)
        self.threads.add(threading.get_ident())
        self.building += 1
        self.most = max(self.most, self.building)
        try:
            return super().build(*arguments, **more)
        finally:
            self.building -= 1


def test_orders_are_a_mapping_in_the_announced_order() -> None:
    orders = Orders(["2", "1"])
    assert orders == {"2": (), "1": ()}
    orders["1"] = ("a b", "c")
    orders["2"] = ("d",)
    assert list(orders.items()) == [("2", ("d",)), ("1", ("a b", "c"))]
    assert Renamed(orders, str.upper) == {"2": ["D"], "1": ["A B", "C"]}


def reversing(prompt: Prompt, sampling: Sampling) -> str:
    return "<think>x</think><answer>[2] > [1]</answer>"


def test_prompts_are_built_one_at_a_time_in_one_thread_that_is_not_the_loops() -> None:
    builder = Watched(expected=20)
    judge = LLMJudge(builder, ScriptedEngine(reversing), Sampling())

    async def one(number: int) -> Verdict:
        builder.ask()
        return await judge.judge(Query(str(number), "q"), DOCUMENTS)

    async def many() -> list[Verdict]:
        return await asyncio.gather(*map(one, range(20)))

    assert {verdict.order for verdict in asyncio.run(many())} == {(1, 0)}
    judge.close()
    assert (len(builder.threads), builder.most) == (1, 1)
    assert threading.get_ident() not in builder.threads


def test_a_prompt_thread_runs_calls_in_their_order_and_drops_those_that_nobody_awaits() -> None:
    thread, gate, began, done = PromptThread(), threading.Event(), threading.Event(), []

    def call(number: int) -> int:
        began.set()
        assert gate.wait(600)
        done.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    async def work() -> list[Any]:
        tasks = [asyncio.ensure_future(thread.run(call, number)) for number in range(6)]
        while not began.is_set():
            await asyncio.sleep(0.001)
        tasks[0].cancel()  # it has begun, and is finished
        tasks[2].cancel()
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third, *others = asyncio.run(work())
    assert [type(first), type(third)] == [asyncio.CancelledError] * 2
    assert (second, str(others[0]), others[1:]) == (1, "three", [4, 5])
    thread.close()
    thread.close()
    assert done == [0, 1, 3, 4, 5]
    with pytest.raises(RuntimeError):
        asyncio.run(thread.run(call, 7))
