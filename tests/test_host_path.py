"""What happens beside the model: where prompts are built, and what the garbage collector may go through meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.jobs.orders import Orders, Renamed
from reasonrank_pyserini.jobs.rerank_input import RerankInput
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.jobs.task_runs import TaskRun, run_tasks
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.judge import LLMJudge
from reasonrank_pyserini.types import Candidate, Prompt, Sampling

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


def test_the_libraries_objects_are_left_out_of_collections_while_queries_run(tmp_path: Path) -> None:
    frozen: list[int] = []

    def script(prompt: Prompt, sampling: Sampling) -> str:
        frozen.append(gc.get_freeze_count())
        return reversing(prompt, sampling)

    query, candidates = Query("1", "q"), tuple(Candidate(document) for document in DOCUMENTS)
    work = RerankInput((query,), {"1": 2}, lambda: iter([(query, candidates)]), {})
    engine = ScriptedEngine(script)
    judge = LLMJudge(PromptBuilder("reasonrank", None), engine, Sampling())
    before = gc.get_freeze_count()
    with RunFolder(tmp_path / "out", {}) as folder, Reranker(judge, engine=engine) as reranker:
        task = TaskRun(work, folder)
        run_tasks([task], reranker, lambda _: None)
    assert task.run == {"1": ("b", "a")}
    assert frozen[0] > before
    assert gc.get_freeze_count() == 0
