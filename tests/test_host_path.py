"""What happens next to the model: where prompts are built, how final orders are kept."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.jobs.orders import Orders, Renamed
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.judge import LLMJudge
from reasonrank_pyserini.types import Prompt, Sampling

DOCUMENTS = [Document("a", "one"), Document("b", "two")]


class Watched(PromptBuilder):
    """Notes the threads that build."""

    def __init__(self) -> None:
        super().__init__("reasonrank", None)
        self.threads: set[str] = set()

    def build(self, *arguments: Any, **more: Any) -> Any:
        self.threads.add(threading.current_thread().name)
        return super().build(*arguments, **more)


def test_orders_are_a_mapping_in_the_announced_order() -> None:
    orders = Orders(["2", "1"])
    assert orders == {"2": (), "1": ()}
    orders["1"] = ("a b", "c")
    orders["2"] = ("d",)
    assert list(orders.items()) == [("2", ("d",)), ("1", ("a b", "c"))]
    assert Renamed(orders, str.upper) == {"2": ["D"], "1": ["A B", "C"]}


def reversing(prompt: Prompt, sampling: Sampling) -> str:
    return "<think>x</think><answer>[2] > [1]</answer>"


def test_prompts_are_built_in_one_thread_that_is_not_the_loops() -> None:
    builder = Watched()
    judge = LLMJudge(builder, ScriptedEngine(reversing), Sampling())

    async def many() -> list[Any]:
        calls = (judge.judge(Query(str(i), "q"), DOCUMENTS) for i in range(20))
        return await asyncio.gather(*calls)

    assert {verdict.order for verdict in asyncio.run(many())} == {(1, 0)}
    assert len(builder.threads) == 1
    assert threading.current_thread().name not in builder.threads
