from __future__ import annotations

import asyncio
import itertools
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.errors import ClosedError, EngineDiedError, EngineError, VerdictError
from reasonrank_pyserini.jobs.rerank_input import RerankInput
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.jobs.task_runs import TaskRun, run_tasks
from reasonrank_pyserini.ranking import scheduler
from reasonrank_pyserini.ranking.judge import RoutedJudge, window_seed
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.strategies import SlidingWindow
from reasonrank_pyserini.types import Candidate, Document, ParseStatus, Query, Ranking, Step, Verdict


def candidates(n: int) -> list[Candidate]:
    return [Candidate(Document(f"d{i}", f"text {i}"), 1.0 / (i + 1), i + 1) for i in range(n)]


class Reverse:
    """Reverses every window; fails on the windows (by number) of `failing`."""

    def __init__(self, failing: dict[int, Exception] | None = None) -> None:
        self.failing, self.calls = failing or {}, 0

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        self.calls += 1
        await asyncio.sleep(0)
        if window in self.failing:
            raise self.failing[window]
        return Verdict(tuple(reversed(range(len(documents)))))


def rank(judge: object, n: int, **options: object) -> Ranking:
    return asyncio.run(
        scheduler.rerank_query(Query("q", "x"), candidates(n), SlidingWindow(20, 10), judge, **options)  # type: ignore[arg-type]
    )


def test_an_oracle_lifts_every_relevant_document_and_the_tail_stays() -> None:
    relevant = {"d95": 2, "d50": 1, "d3": 1}
    ranking = rank(OracleJudge({"q": {**relevant, "d120": 9}}), 130)
    assert ranking.ids[:3] == ("d95", "d3", "d50")
    assert ranking.ids[100:] == tuple(f"d{i}" for i in range(100, 130))
    assert sorted(ranking.ids) == sorted(f"d{i}" for i in range(130))
    assert len(ranking.steps) == (100 - 20) // 10 + 1


def test_the_first_stage_stays_on_the_candidates() -> None:
    ranking = rank(OracleJudge({"q": {"d7": 1}}), 10)
    assert (ranking.candidates[0].id, ranking.candidates[0].rank, ranking.candidates[0].score) == (
        "d7",
        8,
        1 / 8,
    )


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_order_asks_nobody(n: int) -> None:
    judge = Reverse()
    assert len(rank(judge, n).candidates) == n
    assert judge.calls == 0


def test_a_failing_window_raises_and_says_where() -> None:
    with pytest.raises(EngineError, match="boom") as caught:
        rank(Reverse({1: EngineError("boom")}), 40)
    assert caught.value.__notes__ == ["query q, window 1"]


@pytest.mark.parametrize("error", [EngineError("boom"), ValueError("a\nb")])
def test_a_failing_window_can_be_kept_and_is_recorded(error: Exception) -> None:
    seen: list[Step] = []
    ranking = rank(Reverse({0: error}), 30, on_error="keep", observe=lambda query, step: seen.append(step))
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    assert ranking.errors == (reason,)
    assert [s.verdict.status for s in seen] == [ParseStatus.FAILED, ParseStatus.CLEAN]
    assert seen[0].window == seen[0].order == tuple(f"d{i}" for i in range(10, 30))


def test_a_dead_engine_is_never_kept() -> None:
    with pytest.raises(EngineDiedError):
        rank(Reverse({0: EngineDiedError("gone")}), 30, on_error="keep")


def test_seeds_depend_on_seed_query_and_window_only() -> None:
    seeds = {window_seed(s, q, w) for s in (0, 1) for q in ("1", "2") for w in range(9)}
    assert len(seeds) == 2 * 2 * 9
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert window_seed(0, "q", 3) == window_seed(0, "q", 3)


async def collect(stream: AsyncIterator[int]) -> list[int]:
    return [item async for item in stream]


def test_results_stream_out_and_input_is_read_as_there_is_room() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> int:
        await asyncio.sleep(0.001)
        return item

    async def run() -> list[int]:
        results = scheduler.stream(endless(), work, active=lambda: 4)
        first = [await anext(results) for _ in range(50)]
        await results.aclose()
        return first

    assert sorted(asyncio.run(run()))[:40] == list(range(1, 41))
    assert taken <= 50 + 4 + 1


async def started(rounds: Iterator[int], active: int, ahead: int, until: int) -> list[int]:
    """The numbers of the items in the order they start; an item ends once all that may be read have been."""
    taken, order = 0, []

    def length(item: tuple[int, int]) -> int:
        nonlocal taken
        taken += 1
        return item[1]

    async def work(item: tuple[int, int]) -> None:
        order.append(item[0])
        while taken < min(until, len(order) + ahead):
            await asyncio.sleep(0.001)

    results = scheduler.stream(enumerate(rounds), work, lambda: active, ahead=ahead, rounds=length)
    for _ in range(until):
        await anext(results)
    await results.aclose()
    return order[:until]


def test_of_what_was_read_ahead_the_longest_starts_next() -> None:
    rounds = [1, 1, 9, 2, 9, 1]
    assert asyncio.run(started(iter(rounds), 1, 3, len(rounds))) == [0, 2, 4, 3, 1, 5]
    assert asyncio.run(started(iter(rounds), 1, 0, len(rounds))) == [0, 1, 2, 3, 4, 5]


def test_a_short_query_is_not_put_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PATIENCE", 2)
    order = asyncio.run(started(itertools.chain([5, 1], itertools.repeat(5)), 1, 3, 15))
    assert order == [0, *range(2, 9), 1, *range(9, 15)], "fewer than 2 x (5 - 1) went before it"


def test_the_first_failure_cancels_the_others() -> None:
    finished: list[int] = []

    async def work(item: int) -> int:
        if item == 3:
            raise EngineError("boom")
        await asyncio.Event().wait()
        finished.append(item)
        return item

    with pytest.raises(EngineError, match="boom"):
        asyncio.run(asyncio.wait_for(collect(scheduler.stream(range(8), work, active=lambda: 8)), 600))
    assert finished == []


def test_an_error_while_reading_the_input_is_raised() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("line 2")

    async def work(item: int) -> int:
        return item

    with pytest.raises(ValueError, match="line 2"):
        asyncio.run(collect(scheduler.stream(broken(), work, active=lambda: 4)))


def test_the_queries_of_several_tasks_start_with_the_longest() -> None:
    """Each task's works come as they are, longest first; a task is complete whenever its last query is."""
    sizes = {"a": [30, 10, 2], "b": [40, 10], "c": []}
    started: list[tuple[str, int]] = []

    class First(Reverse):
        def __init__(self, task: str) -> None:
            super().__init__()
            self.task = task

        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            if window == 0:
                started.append((self.task, sizes[self.task][int(query.id)]))
            return await super().judge(query, documents, window)

    def task(name: str) -> TaskRun:
        queries = tuple(Query(str(number), "x") for number in range(len(sizes[name])))

        def load() -> Iterator[tuple[Query, tuple[Candidate, ...]]]:
            return (
                (query, tuple(candidates(size))) for query, size in zip(queries, sizes[name], strict=True)
            )

        return TaskRun(RerankInput(queries, {}, load, {}), RunFolder("nowhere", {}), name, traced=False)

    complete: list[str] = []
    with Reranker(RoutedJudge(lambda key: First(key.task))) as reranker:
        run_tasks([task(name) for name in sizes], reranker, lambda done: complete.append(done.name))
    assert started == [("b", 40), ("a", 30), ("a", 10), ("b", 10), ("a", 2)]
    assert complete[0] == "c"
    assert sorted(complete) == ["a", "b", "c"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_queries() -> None:
    judge, growth = OracleJudge({}), []

    def requests(count: int) -> Iterator[Query]:
        return (Query(str(i), "x") for i in range(count))

    async def work(query: Query) -> int:
        texts = [Candidate(Document(f"{query.id}-{i}", f"{query.id} {i} " * 20)) for i in range(100)]
        return len((await scheduler.rerank_query(query, texts, SlidingWindow(20, 10), judge)).candidates)

    async def run() -> None:
        done = 0
        async for count in scheduler.stream(requests(3000), work, active=lambda: 32):
            assert count == 100
            done += 1
            if done in (100, 3000):
                growth.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    asyncio.run(run())
    tracemalloc.stop()
    assert growth[1] - growth[0] < 5 * 2**20


def test_a_finished_ranking_does_not_wait_for_the_next_request() -> None:
    """The source gives its second request only once the first has been answered."""
    answered = threading.Event()

    def source() -> Iterator[tuple[str, list[str]]]:
        yield "first", ["a", "b"]
        assert answered.wait(600)
        yield "second", ["a", "b"]

    with Reranker(OracleJudge({})) as reranker:
        for ranking in reranker.rerank_many(source()):
            assert ranking.ids == ("1", "2")
            answered.set()


@pytest.mark.parametrize("order", [(0, 5), (0, -1), (0, 0), (0,)])
def test_a_judges_bad_order_is_a_failed_window(order: tuple[int, ...]) -> None:
    class Bad:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            return Verdict(order)

    with Reranker(Bad()) as reranker, pytest.raises(VerdictError, match=r"each of 0\.\.1 once"):
        reranker.rerank("q", ["a", "b"])
    with Reranker(Bad(), on_error="keep") as reranker:
        ranking = reranker.rerank("q", ["a", "b"])
    assert (ranking.ids, len(ranking.errors)) == (("1", "2"), 1)


def test_an_observer_cannot_close_its_reranker() -> None:
    raised: list[BaseException] = []

    def close(query: Query, step: Step) -> None:
        with pytest.raises(ClosedError, match="cannot be closed from an observer") as caught:
            reranker.close()
        raised.append(caught.value)

    with Reranker(OracleJudge({}), observe=close) as reranker:
        reranker.rerank("q", ["a", "b"])
    assert len(raised) == 1
