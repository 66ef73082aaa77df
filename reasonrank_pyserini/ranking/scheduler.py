"""Drives strategies' flows with a judge: many queries at once, no barrier between queries or windows."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from heapq import heappop, heappush
from math import nan
from typing import Any, Literal, TypeVar

from ..engines.priority import PATIENCE, TURN, CallPriority, context_value
from ..errors import EngineDiedError, InputError, JournalError, ReplayMissError
from ..strategies import RankingStrategy, ScoredOrder, check_order, partial_order
from ..strategies.checked_flow import checked_flow
from ..types import Candidate, ParseStatus, Query, Ranking, Step, Verdict, Window
from .first_stage_fusion import FirstStageFusion
from .judge import CandidateJudge, Judge

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
    fusion: FirstStageFusion | None = None,
    on_error: OnError = "raise",
    observe: Observer | None = None,
    deadline: float | None = None,
    caller: Hashable = None,
) -> Ranking:
    """The candidates in their final order: the first `depth` as the strategy ranks them, the tail unchanged.

    With `fusion` the first `depth` are as the strategy ranks them fused with the first stage.

    `observe` is called in the event loop once per judged window, in the order they finish. A failing window
    raises, or with `on_error="keep"` keeps its order and is recorded in its step. `deadline` is in seconds
    from the first window on, waiting for the engine included: calls under way are then cancelled and the
    ranking is the order so far, marked `cut_short`. Callers share the engine evenly (see
    `engines.gate.ThrottledEngine`).
    """
    head = candidates[:depth]
    judged: list[tuple[Window, Verdict]] = []
    steps: list[Step] = []

    async def one(number: int, window: Window, sample: int) -> Verdict:
        together = [head[index] for index in window]
        verdict = await _judge(judge, query, number, together, on_error)
        shown = tuple(candidate.id for candidate in together)
        step = Step(shown, tuple(shown[index] for index in verdict.order), verdict, sample)
        judged.append((window, verdict))
        steps.append(step)
        if observe is not None:
            observe(query, step)
        return verdict

    try:
        async with asyncio.timeout(deadline) as clock:
            found, cut_short = await _drive(strategy, len(head), one, caller), False
    except TimeoutError:
        if not clock.expired():
            raise
        found, cut_short = ScoredOrder(partial_order(len(head), judged)), True
    ranking = _arranged(query, candidates, found, fusion)
    return replace(ranking, steps=tuple(steps), cut_short=cut_short)


def _arranged(
    query: Query, candidates: Sequence[Candidate], found: ScoredOrder, fusion: FirstStageFusion | None
) -> Ranking:
    """The candidates in the order found, or in that order fused with the first stage; those beyond it follow."""
    head = candidates[: len(found.order)]
    order = found.order if fusion is None else fusion.order([one.score for one in head], found)
    tail = candidates[len(head) :]

    def arranged(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if values is None else (*(values[index] for index in order), *(nan,) * len(tail))

    ranked = (*(head[index] for index in order), *tail)
    return Ranking(query, ranked, scores=arranged(found.scores), deviations=arranged(found.deviations))


def checked_deadline(seconds: float | None) -> float | None:
    """The seconds; InputError unless they are more than 0 (None: no deadline)."""
    if seconds is not None and not seconds > 0:
        raise InputError(f"deadline is {seconds}: it must be a number of seconds above 0")
    return seconds


async def _drive(
    strategy: RankingStrategy, n: int, one: Callable[[int, Window, int], Awaitable[Verdict]], caller: Hashable
) -> ScoredOrder:
    """The strategy's order of `n` candidates; `one` judges a window, given its numbers within the query and among the
    round's windows with the same candidates."""
    flow, rounds, number = checked_flow(strategy, n), strategy.rounds(n), 0
    try:
        windows = next(flow)
        while True:
            with context_value(TURN, CallPriority(caller, max(1, rounds))):
                again = _samples(windows)
                verdicts = await _together(
                    [one(number + i, window, again[i]) for i, window in enumerate(windows)]
                )
            rounds -= 1
            number += len(windows)
            windows = flow.send(verdicts)
    except StopIteration as end:
        found: ScoredOrder = end.value
        return found
    finally:
        flow.close()


def _samples(windows: Sequence[Window]) -> list[int]:
    """For each window, how many before it have the same candidates."""
    seen, samples = Counter[frozenset[int]](), []
    for window in windows:
        samples.append(seen[frozenset(window)])
        seen[frozenset(window)] += 1
    return samples


async def _judge(
    judge: Judge, query: Query, number: int, candidates: Sequence[Candidate], on_error: OnError
) -> Verdict:
    try:
        if isinstance(judge, CandidateJudge):
            verdict = await judge.judge_candidates(query, candidates, number)
        else:
            verdict = await judge.judge(query, [candidate.document for candidate in candidates], number)
        check_order(verdict.order, len(candidates))
        return verdict
    except Exception as error:
        final = isinstance(error, EngineDiedError | JournalError | InputError)
        if final and not isinstance(error, ReplayMissError):
            raise  # nothing that follows could succeed either
        if on_error == "raise":
            error.add_note(f"query {query.id}, window {number}")
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Verdict(tuple(range(len(candidates))), ParseStatus.FAILED, error=reason)


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
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    active: Callable[[], int],
    *,
    ahead: int = 0,
    rounds: Callable[[Item], int] = lambda item: 1,
) -> AsyncGenerator[Result, None]:
    """`work(item)` for every item, at most `active()` at once, which may change meanwhile; results as they finish.

    `items` is advanced in a worker thread and only when there is room, so it may read files and be
    endless. Up to `ahead` items are read before there is room, and of those that wait the one with the most
    `rounds` starts next, by the gate's rule. The first failure cancels the others and is raised; closing
    the iterator cancels all.
    """
    end, iterator, numbers = object(), iter(items), itertools.count()
    # a thread of its own: a blocked source holds up nothing else
    reader = ThreadPoolExecutor(1, "reasonrank-reader")
    reading: asyncio.Future[Any] | None = None
    pending: set[asyncio.Future[Result]] = set()
    waiting: list[tuple[int, int, Item]] = []
    finished: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
    more = True
    try:
        while more or pending:
            if more and reading is None and len(pending) + len(waiting) < active() + ahead:
                reading = asyncio.get_running_loop().run_in_executor(reader, next, iterator, end)
                reading.add_done_callback(finished.put_nowait)
            done = await finished.get()
            pending.discard(done)
            if done is reading and (more := (item := done.result()) is not end):
                number = next(numbers)
                heappush(waiting, (number - PATIENCE * rounds(item), number, item))
            while waiting and len(pending) < active():
                started = asyncio.ensure_future(work(heappop(waiting)[2]))
                started.add_done_callback(finished.put_nowait)
                pending.add(started)
            if done is reading:
                reading = None
            else:
                yield done.result()
    finally:
        reader.shutdown(wait=False)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
