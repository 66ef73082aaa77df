"""Reranker: the library's front, synchronous outside, one event loop in one background thread inside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from .datasets import Docstore
from .engines import Engine, StatesContext, unwrap_engine
from .engines.journal import EngineRecord, damage_line
from .errors import ClosedError, UnknownNameError
from .ranking import scheduler
from .ranking.background import ThreadsafeStream, cancel_all_tasks, cancel_tasks, wait
from .ranking.candidates import as_candidates
from .ranking.judge import Closable, Judge, JudgeFactory, RoutedJudge, TaskKey
from .ranking.model_request import ModelRequest, SettingOverrides
from .ranking.oracle_plan import OraclePlan
from .ranking.plan import Plan
from .ranking.scheduler import Observer, OnError, checked_deadline
from .strategies import RankingStrategy, SlidingWindow
from .types import Candidate, Query, Ranking, Step

T = TypeVar("T")
log = logging.getLogger(__name__)
READ_AHEAD = 32
"""Requests of one `rerank_many` read before there is room for them: the longest of them starts next."""


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A query with its candidates, as part of a task: for `Reranker.rerank_tasks`."""

    key: TaskKey
    query: Query
    candidates: tuple[Candidate, ...]


class Reranker:
    """Reranks candidates with a judge. A context manager; safe to share between threads.

    The engine, if any, is started by the constructor and stopped by `close()`; calls after that raise
    ClosedError, calls under way are cancelled. Works inside a running event loop (notebooks, servers):
    nothing runs in the caller's loop. `observe` is called in the background thread for every window.
    `deadline`: seconds a query may take from its first window on, waiting for the engine included; then its
    ranking is the order so far, marked `cut_short`, and its calls are cancelled. Threads that share a
    Reranker share its engine evenly. `judge` may be a function that makes the judge once the engine runs; a
    judge with a `close` method is closed with the Reranker.
    """

    def __init__(
        self,
        judge: Judge | JudgeFactory,
        *,
        engine: Engine | None = None,
        strategy: RankingStrategy | None = None,
        depth: int = 100,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        deadline: float | None = None,
    ) -> None:
        self.deadline = checked_deadline(deadline)
        self.engine, self.depth = engine, depth
        self.strategy = strategy or SlidingWindow()
        self.on_error, self.observe = on_error, observe
        self._closed = False
        self._process = os.getpid()
        self._closing = threading.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._pulled: set[ThreadsafeStream[tuple[TaskKey, Ranking]]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reasonrank", daemon=True)
        self._thread.start()
        if engine is not None:
            try:
                self._call(engine.__aenter__())
            except BaseException:
                self._stop()
                raise
        try:
            self.judge: Judge = judge if hasattr(judge, "judge") else judge(self.served_context())
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        *,
        engine: str | None = None,
        revision: str | None = None,
        tokenizer: str | None = None,
        profile: str | None = None,
        base_url: str | Sequence[str] = (),
        api: str = "completions",
        engine_args: Mapping[str, Any] | None = None,
        journal: str | Path | None = None,
        replay: bool = False,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        deadline: float | None = None,
        **settings: Any,
    ) -> Reranker:
        """A Reranker for a model of the hub or a local folder, with the settings of its profile.

        `engine`: vllm (the default; for the toy `nano` transformers), transformers, openai (a server at
        `base_url`) or module:attribute. `settings` overrides the profile: window, step, passes, depth,
        passage_tokens, reasoning_tokens, temperature, top_p, top_k, min_p, seed, compat, style, force_answer,
        constrained, answer_k (see `settings.Settings`). `journal`: a folder that keeps every completion, so that
        nothing is paid for twice; with `replay` all come from there and no engine is started. With vLLM, scripts
        need `if __name__ == "__main__":`.
        """
        urls = (base_url,) if isinstance(base_url, str) else tuple(base_url)
        request = ModelRequest(
            model=model, engine=engine, revision=revision, tokenizer=tokenizer, profile=profile,
            base_urls=urls, api=api, engine_args=engine_args or {}, settings=_overrides(settings),
        )  # fmt: skip
        plan = Plan.make(request)
        note = plan.replay_record(journal) if replay else None
        for line in plan.preflight() if note is None else ():
            log.info("%s", line)
        reranker = cls.from_plan(
            plan, journal=journal, on_error=on_error, observe=observe, deadline=deadline, replay=note
        )
        if (damage := damage_line(reranker.engine)) is not None:
            log.warning("%s", damage)
        return reranker

    @classmethod
    def from_plan(
        cls,
        plan: Plan | OraclePlan,
        *,
        tokenizer: Any | None = None,
        journal: str | Path | None = None,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        repeats: int = 1,
        deadline: float | None = None,
        replay: EngineRecord | None = None,
    ) -> Reranker:
        """A running Reranker for the plan: its engine is started here. Arguments as for `Plan.parts`."""
        parts = plan.parts(tokenizer=tokenizer, journal=journal, repeats=repeats, replay=replay)
        return cls(
            parts.judge,
            engine=parts.engine,
            strategy=parts.strategy,
            depth=parts.depth,
            on_error=on_error,
            observe=observe,
            deadline=deadline,
        )

    def rerank(
        self,
        query: Query | str,
        candidates: Iterable[Any],
        *,
        documents: Docstore | None = None,
        deadline: float | None = None,
    ) -> Ranking:
        """The candidates in their final order; what may be given is listed at `candidates.as_candidates`.

        `deadline` replaces the Reranker's own. Ctrl-C while waiting cancels this call alone.
        """
        return wait(self.submit(query, candidates, documents=documents, deadline=deadline))

    def submit(
        self,
        query: Query | str,
        candidates: Iterable[Any],
        *,
        documents: Docstore | None = None,
        deadline: float | None = None,
        caller: Hashable = None,
    ) -> concurrent.futures.Future[Ranking]:
        """`rerank` without waiting: a future; cancelling it cancels this query's model calls alone.

        Callers share the engine evenly; calls with the same `caller` (None: this thread) count as one caller.
        """
        caller = threading.get_ident() if caller is None else caller
        request = TaskRequest(TaskKey(), _as_query(query), as_candidates(candidates, documents))
        return self._submit(self._one(request, caller, checked_deadline(deadline)))

    def rerank_many(
        self,
        requests: Iterable[tuple[Query | str, Iterable[Any]]],
        *,
        documents: Docstore | None = None,
        deadline: float | None = None,
    ) -> Iterator[Ranking]:
        """Rankings as they finish, in no fixed order; `requests` is read as there is room, so it may be endless.

        No new query starts while the iterator is not advanced. Closing the iterator, or Ctrl-C, cancels what is under
        way. The first failure is raised.
        """
        seconds, key = checked_deadline(deadline), TaskKey()
        prepared = (
            TaskRequest(key, _as_query(query), as_candidates(items, documents)) for query, items in requests
        )
        with closing(self._stream(prepared, None, seconds)) as results:
            for _, ranking in results:
                yield ranking

    def rerank_tasks(
        self,
        requests: Iterable[TaskRequest],
        observe: Callable[[TaskKey, Query, Step], None] | None = None,
    ) -> Generator[tuple[TaskKey, Ranking]]:
        """`rerank_many` for several tasks at once: every ranking with its request's key, windows to `observe`."""
        return self._stream(requests, observe, None)

    def _stream(
        self,
        requests: Iterable[TaskRequest],
        observe: Callable[[TaskKey, Query, Step], None] | None,
        deadline: float | None,
    ) -> Generator[tuple[TaskKey, Ranking]]:
        caller = object()

        async def work(request: TaskRequest) -> tuple[TaskKey, Ranking]:
            watch = partial(observe, request.key) if observe is not None else None
            return request.key, await self._one(request, caller, deadline, watch)

        results = ThreadsafeStream(
            scheduler.stream(requests, work, self._active(), ahead=READ_AHEAD, rounds=self._rounds)
        )
        self._pulled.add(results)
        try:
            while (found := wait(self._submit(results.next()))) is not None:
                yield found
        finally:
            self._pulled.discard(results)
            if not self._closed:
                wait(self._submit(results.close()))

    def served_context(self) -> int | None:
        """Tokens that the engine's server takes for prompt and answer; None where it does not say."""
        inner = unwrap_engine(self.engine) if self.engine is not None else None
        return self._call(inner.served_context()) if isinstance(inner, StatesContext) else None

    def _rounds(self, request: TaskRequest) -> int:
        return self.strategy.rounds(min(len(request.candidates), self.depth))

    def _judge_of(self, key: TaskKey) -> Judge:
        return self.judge.judge_of(key) if isinstance(self.judge, RoutedJudge) else self.judge

    def _active(self) -> int:
        """Queries under way: enough that prompts are ready when the engine has room."""
        if self.engine is None:
            return 32
        requests = self.engine.limits.requests
        return requests + max(2, requests // 4)

    async def _one(
        self, request: TaskRequest, caller: Hashable, deadline: float | None, observe: Observer | None = None
    ) -> Ranking:
        return await scheduler.rerank_query(
            request.query, request.candidates, self.strategy, self._judge_of(request.key), depth=self.depth,
            on_error=self.on_error, observe=observe or self.observe,
            deadline=self.deadline if deadline is None else deadline, caller=caller,
        )  # fmt: skip

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        if self._process != os.getpid():
            work.close()
            raise ClosedError(
                "this Reranker was made before the process was forked, and its thread did not come along: make it "
                "after the fork, in each worker"
            )
        with self._closing:
            if self._closed:
                work.close()
                raise ClosedError(
                    "this Reranker is closed: make a new one, or keep work inside its `with` block"
                )
            if threading.current_thread() is self._thread:
                work.close()
                raise ClosedError("a Reranker cannot wait for itself: do not call it from an observer")
            return asyncio.run_coroutine_threadsafe(self._tracked(work), self._loop)

    async def _tracked(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            return await work
        finally:
            self._running.discard(task)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return wait(self._submit(work))

    def close(self) -> None:
        """Cancel what is under way, stop the engine, end the thread. Calling it twice is fine."""
        if threading.current_thread() is self._thread:
            raise ClosedError("a Reranker cannot be closed from an observer")
        if self._process != os.getpid():  # the engine and its thread are the parent's
            return
        with self._closing:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        finally:
            self._stop()

    async def _shut(self) -> None:
        """Stop the engine once the cancelled calls have let go of it."""
        await cancel_tasks(self._running)
        for results in list(self._pulled):
            await results.close()
        if self.engine is not None:
            await self.engine.__aexit__(None, None, None)
        if isinstance(judge := getattr(self, "judge", None), Closable):
            await asyncio.to_thread(judge.close)

    def _stop(self) -> None:
        self._closed = True
        asyncio.run_coroutine_threadsafe(cancel_all_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _overrides(settings: Mapping[str, Any]) -> SettingOverrides:
    """Keyword settings as SettingOverrides; UnknownNameError for another name."""
    known = [item.name for item in fields(SettingOverrides)]
    if unknown := sorted(settings.keys() - set(known)):
        raise UnknownNameError("setting", unknown[0], known)
    return SettingOverrides(**settings)


def _as_query(query: Query | str) -> Query:
    return query if isinstance(query, Query) else Query("0", query)
