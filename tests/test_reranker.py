from __future__ import annotations

import asyncio
import copy
import itertools
import os
import pickle
import threading
import time
from collections.abc import Sequence

import pytest

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import ClosedError, EngineError
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import Prompt, Sampling, Verdict

DOCUMENTS = [Document(f"d{i}", f"text {i}") for i in range(30)]
BEST = OracleJudge({"a": {"d29": 1}, "b": {"d5": 1}})


class Slow:
    """Judges no window before `go_on`, but for a quick query's; `started` is set by the first; `cancelled` counts."""

    def __init__(self) -> None:
        self.started, self.go_on, self.cancelled = threading.Event(), threading.Event(), 0

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        self.started.set()
        try:
            while not (query.id == "quick" or self.go_on.is_set()):
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Verdict(tuple(range(len(documents))))


def test_one_reranker_is_used_again_and_again() -> None:
    with Reranker(BEST) as reranker:
        assert [reranker.rerank(Query("a", "x"), DOCUMENTS).ids[0] for _ in range(3)] == ["d29"] * 3


def test_two_threads_share_a_reranker() -> None:
    found: dict[str, str] = {}
    with Reranker(BEST) as reranker:

        def work(query: str) -> None:
            found[query] = reranker.rerank(Query(query, "x"), DOCUMENTS).ids[0]

        threads = [threading.Thread(target=work, args=(query,)) for query in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {"a": "d29", "b": "d5"}


def test_it_works_inside_a_running_loop() -> None:
    async def notebook(reranker: Reranker) -> str:
        return reranker.rerank(Query("b", "x"), DOCUMENTS).ids[0]

    with Reranker(BEST) as reranker:
        assert asyncio.run(notebook(reranker)) == "d5"


def test_rerank_many_streams_from_an_endless_input() -> None:
    requests = ((Query(str(i), "x"), DOCUMENTS[:5]) for i in itertools.count())
    with Reranker(BEST) as reranker:
        rankings = reranker.rerank_many(requests)
        first = [next(rankings) for _ in range(100)]
        rankings.close()  # type: ignore[attr-defined]
        assert len({ranking.query.id for ranking in first}) == 100
        assert reranker.rerank(Query("b", "x"), DOCUMENTS).ids[0] == "d5"


def test_cancelling_one_leaves_the_others_alone() -> None:
    judge = Slow()
    with Reranker(judge) as reranker:
        doomed = reranker.submit(Query("slow", "x"), DOCUMENTS)
        other = reranker.submit(Query("slow", "x"), DOCUMENTS[:10])
        assert judge.started.wait(600)
        doomed.cancel()
        while not judge.cancelled:
            time.sleep(0.001)
        judge.go_on.set()
        assert len(other.result(600).ids) == 10
        assert reranker.rerank(Query("quick", "x"), DOCUMENTS).ids == tuple(d.id for d in DOCUMENTS)
    assert judge.cancelled == 1


def test_after_close_every_call_says_so() -> None:
    reranker = Reranker(BEST)
    reranker.close()
    reranker.close()
    with pytest.raises(ClosedError, match="closed"):
        reranker.rerank(Query("a", "x"), DOCUMENTS)
    with pytest.raises(ClosedError, match="closed"):
        next(reranker.rerank_many([(Query("a", "x"), DOCUMENTS)]))


def test_close_ends_what_is_under_way_and_the_thread() -> None:
    judge = Slow()
    reranker = Reranker(judge)
    future = reranker.submit(Query("slow", "x"), DOCUMENTS)
    assert judge.started.wait(600)
    reranker.close()
    assert future.cancelled()
    assert "reasonrank" not in {thread.name for thread in threading.enumerate()}


def test_the_engine_ends_after_the_calls_of_an_iterator_that_is_held() -> None:
    under_way: list[int] = []

    class Ending(ScriptedEngine):
        async def __aexit__(self, *exception: object) -> None:
            under_way.append(self.in_flight)

    class Asking:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            if query.id != "0":
                await engine.complete(Prompt(text=query.id), Sampling())
            while not engine.in_flight:  # the first answer comes when another query waits for the engine
                await asyncio.sleep(0.001)
            return Verdict(tuple(range(len(documents))))

    engine = Ending(lambda prompt, sampling: "", delay=600)
    with Reranker(Asking(), engine=engine) as reranker:
        results = reranker.rerank_many((Query(str(n), "x"), DOCUMENTS) for n in range(9))
        assert next(results).query.id == "0"
    assert under_way == [0]
    with pytest.raises(ClosedError):
        next(results)


def test_waiting_from_its_own_thread_is_refused_not_a_deadlock() -> None:
    def observe(query: Query, step: object) -> None:
        reranker.rerank("again", DOCUMENTS)

    with Reranker(BEST, observe=observe) as reranker, pytest.raises(ClosedError, match="observer"):
        reranker.rerank(Query("a", "x"), DOCUMENTS)


def test_an_engine_that_does_not_start_leaves_no_thread() -> None:
    class Broken:
        async def __aenter__(self) -> None:
            raise EngineError("no memory")

    with pytest.raises(EngineError, match="no memory"):
        Reranker(BEST, engine=Broken())  # type: ignore[arg-type]
    assert "reasonrank" not in {thread.name for thread in threading.enumerate()}


def test_the_first_failure_of_many_is_raised_and_the_reranker_lives_on() -> None:
    class Failing(Slow):
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            if query.id == "bad":
                raise EngineError("boom")
            return await super().judge(query, documents, window)

    judge = Failing()
    with Reranker(judge) as reranker:
        with pytest.raises(EngineError, match="boom"):
            list(reranker.rerank_many([(Query("slow", "x"), DOCUMENTS), (Query("bad", "x"), DOCUMENTS)]))
        assert judge.cancelled == 1
        assert reranker.rerank(Query("quick", "x"), DOCUMENTS).ids[0] == "d0"


def test_it_cannot_be_pickled_or_copied() -> None:
    with Reranker(BEST) as reranker:
        for attempt in (pickle.dumps, copy.deepcopy, copy.copy):
            with pytest.raises(TypeError, match="make one in each process"):
                attempt(reranker)


def test_an_iterator_is_left_behind_by_a_fork() -> None:
    with Reranker(BEST) as reranker:
        rankings = reranker.rerank_many((Query(str(i), "x"), DOCUMENTS[:5]) for i in range(9))
        next(rankings)
        if (child := os.fork()) == 0:
            try:
                rankings.close()  # type: ignore[attr-defined]
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert len(list(rankings)) == 8
