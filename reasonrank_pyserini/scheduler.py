"""Drives strategies' flows with a judge: many queries at once, no barrier between queries or windows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from .errors import EngineDiedError, InputError, JournalError, ReplayMissError
from .judge import Judge
from .strategies import RankingStrategy, check_order
from .types import Candidate, ParseStatus, Query, Ranking, Step, Verdict, Window

OnError = Literal["raise", "keep"]
Observer = Callable[[Query, Step], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


async def rerank_query(
    query: Query,
    candidates: Sequence[Candidate],
    strategy: RankingStrategy,
    judge: Judge,
    *,
    depth: int = 100,
    on_error: OnError = "raise",
    observe: Observer | None = None,
) -> Ranking:
    """The candidates in their final order: the first `depth` as the strategy ranks them, the tail unchanged.

    `observe` is called in the event loop once per judged window, in the order they finish. A failing
    window raises, or with `on_error="keep"` keeps its order and is recorded in its step.
    """
    head = candidates[:depth]
    flow = strategy.rank(len(head))
    steps: list[Step] = []

    async def one(number: int, window: Window) -> Verdict:
        documents = [head[index].document for index in window]
        verdict = await _judge(judge, query, number, documents, on_error)
        shown = tuple(document.id for document in documents)
        step = Step(shown, tuple(shown[index] for index in verdict.order), verdict)
        steps.append(step)
        if observe is not None:
            observe(query, step)
        return verdict

    try:
        windows = next(flow)
        number = 0
        while True:
            verdicts = await _together([one(number + i, window) for i, window in enumerate(windows)])
            number += len(windows)
            windows = flow.send(verdicts)
    except StopIteration as end:
        order: tuple[int, ...] = end.value
    finally:
        flow.close()
    return Ranking(query, (*(head[index] for index in order), *candidates[depth:]), tuple(steps))


async def _judge(
    judge: Judge, query: Query, number: int, documents: Sequence[object], on_error: OnError
) -> Verdict:
    try:
        verdict = await judge.judge(query, documents, number)  # type: ignore[arg-type]
        check_order(verdict.order, len(documents))
        return verdict
    except Exception as error:
        final = isinstance(error, EngineDiedError | JournalError | InputError)
        if final and not isinstance(error, ReplayMissError):
            raise  # nothing that follows could succeed either
        if on_error == "raise":
            error.add_note(f"query {query.id}, window {number}")
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Verdict(tuple(range(len(documents))), ParseStatus.FAILED, error=reason)


async def _together(calls: Sequence[Awaitable[Verdict]]) -> list[Verdict]:
    """The verdicts in order; the first failure cancels the others and is raised."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def stream(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], active: int
) -> AsyncGenerator[Result, None]:
    """`work(item)` for every item, at most `active` at once, results as they finish.

    `items` is advanced in a worker thread and only when there is room, so it may read files and be
    endless. The first failure cancels the others and is raised; closing the iterator cancels all.
    """
    end = object()
    iterator = iter(items)
    reader = ThreadPoolExecutor(1, "reasonrank-reader")  # its own: a blocked source starves nobody
    reading: asyncio.Future[Any] | None = None
    pending: set[asyncio.Future[Result]] = set()
    more = True
    try:
        while more or pending:
            if more and reading is None and len(pending) < active:
                reading = asyncio.get_running_loop().run_in_executor(reader, next, iterator, end)
            waited = {*pending, reading} if reading is not None else pending
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if reading is not None and reading in done:
                item, reading = reading.result(), None
                more = item is not end
                if more:
                    pending.add(asyncio.ensure_future(work(item)))
            finished = [task for task in pending if task in done]
            pending.difference_update(finished)
            for position, task in enumerate(finished):
                try:
                    yield task.result()
                except BaseException:
                    pending.update(finished[position + 1 :])
                    raise
    finally:
        reader.shutdown(wait=False)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
