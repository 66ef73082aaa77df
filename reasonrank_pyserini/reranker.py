"""Reranker: the library's front, synchronous outside, one event loop in one background thread inside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Never, Self

from .datasets import Docstore
from .engines import Engine, StatesContext, unwrap_engine
from .engines.journal import damage_line
from .files.given_records import as_query
from .ranking import scheduler
from .ranking.background import BackgroundLoop, wait
from .ranking.candidates import as_candidates
from .ranking.first_stage_fusion import FirstStageFusion
from .ranking.judge import Closable, Judge, JudgeFactory, RoutedJudge, TaskKey, TaskRequest
from .ranking.model_request import ModelRequest, SettingOverrides
from .ranking.plan import Plan
from .ranking.reranker_parts import RerankerParts
from .ranking.scheduler import Observer, OnError, checked_deadline
from .ranking.strategy_settings import check_finished, check_scores_come
from .strategies import RankingStrategy, SlidingWindow
from .types import Query, Ranking, Step

log = logging.getLogger(__name__)
READ_AHEAD = 32
"""Requests of one `rerank_many` read before there is room for them: the longest of them starts next."""


class Reranker:
    """Reranks candidates with a judge. A context manager; safe to share between threads.

    The engine, if any, is started by the constructor and stopped by `close()`; calls after that raise
    ClosedError, calls under way are cancelled. Works inside a running event loop (notebooks, servers):
    nothing runs in the caller's loop. `observe` is called in the background thread for every window.
    `deadline`: seconds a query may take from its first window on, waiting for the engine included; then its
    ranking is the order so far, marked `cut_short`, and its calls are cancelled. Threads that share a
    Reranker share its engine evenly. `judge` may be a function that makes the judge once the engine runs; a
    judge with a `close` method is closed with the Reranker. `fusion`: rankings are fused with the first stage.
    """

    def __init__(
        self,
        judge: Judge | JudgeFactory,
        *,
        engine: Engine | None = None,
        strategy: RankingStrategy | None = None,
        depth: int = 100,
        fusion: FirstStageFusion | None = None,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        deadline: float | None = None,
    ) -> None:
        self.deadline = checked_deadline(deadline)
        self.engine, self.depth, self.fusion = engine, depth, fusion
        self.strategy = strategy or SlidingWindow()
        self.on_error, self.observe = on_error, observe
        self.background = BackgroundLoop()
        if engine is not None:
            try:
                self.background.call(engine.__aenter__())
            except BaseException:
                self.background.close()
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
        servers: str | Path | None = None,
        replicas: int | None = None,
        ray: str | None = None,
        vllm_python: str | None = None,
        api: str = "completions",
        engine_args: Mapping[str, Any] | None = None,
        journal: str | Path | None = None,
        replay: bool = False,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        deadline: float | None = None,
        strategy: str | RankingStrategy | None = None,
        **settings: Any,
    ) -> Reranker:
        """A Reranker for a model of the hub or a local folder, with the settings of its profile.

        `engine`: vllm (the default; for the toy `nano` transformers), which starts `replicas` servers, with `ray` in
        that cluster; transformers; openai (servers at `base_url`, or listed in the file `servers`); or
        module:attribute; see `model_request.ModelRequest`. `settings` overrides the profile: window, step, passes,
        depth, passage_tokens, reasoning_tokens, temperature, top_p, top_k, min_p, seed, compat, style, force_answer,
        constrained, answer_k, strategy_args, budget, fuse, fuse_weight (see `settings.Settings`). `strategy`: a name,
        module:attribute or an object whose windows are no larger than the setting `window`. `journal`: a folder that
        keeps every completion, so that nothing is paid for twice; with `replay` all come from there and no engine is
        started.
        """
        urls = (base_url,) if isinstance(base_url, str) else tuple(base_url)
        name, own = (strategy, None) if strategy is None or isinstance(strategy, str) else (None, strategy)
        overrides = SettingOverrides.named({**settings, "strategy": name})
        if own is not None:
            check_finished(own, overrides.given())
        request = ModelRequest(
            model=model, engine=engine, revision=revision, tokenizer=tokenizer, profile=profile,
            base_urls=urls, servers=None if servers is None else Path(servers), replicas=replicas, ray=ray,
            vllm_python=vllm_python, api=api, engine_args=engine_args or {}, settings=overrides,
        )  # fmt: skip
        parts = _parts(request, own, journal, replay)
        return cls.from_parts(parts, on_error=on_error, observe=observe, deadline=deadline)

    @classmethod
    def from_parts(
        cls,
        parts: RerankerParts,
        *,
        on_error: OnError = "raise",
        observe: Observer | None = None,
        deadline: float | None = None,
    ) -> Reranker:
        """A running Reranker of a plan's parts: their engine is started here."""
        return cls(
            parts.judge, engine=parts.engine, strategy=parts.strategy, depth=parts.depth,
            fusion=parts.fusion, on_error=on_error, observe=observe, deadline=deadline,
        )  # fmt: skip

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
        request = TaskRequest(TaskKey(), as_query(query), as_candidates(candidates, documents))
        return self.background.submit(self._one(request, caller, checked_deadline(deadline)))

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
            TaskRequest(key, as_query(query), as_candidates(items, documents)) for query, items in requests
        )
        with closing(self.rerank_tasks(prepared, deadline=seconds)) as results:
            for _, ranking in results:
                yield ranking

    def rerank_tasks(
        self,
        requests: Iterable[TaskRequest],
        observe: Callable[[TaskKey, Query, Step], None] | None = None,
        deadline: float | None = None,
    ) -> Generator[tuple[TaskKey, Ranking]]:
        """`rerank_many` for several tasks at once: every ranking with its request's key, windows to `observe`."""
        caller = object()

        async def work(request: TaskRequest) -> tuple[TaskKey, Ranking]:
            watch = partial(observe, request.key) if observe is not None else None
            return request.key, await self._one(request, caller, deadline, watch)

        return self.background.pull(
            scheduler.stream(requests, work, self._active, ahead=READ_AHEAD, rounds=self._rounds)
        )

    def served_context(self) -> int | None:
        """Tokens that the engine's server takes for prompt and answer; None where it does not say."""
        inner = unwrap_engine(self.engine) if self.engine is not None else None
        return self.background.call(inner.served_context()) if isinstance(inner, StatesContext) else None

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
            fusion=self.fusion, on_error=self.on_error, observe=observe or self.observe,
            deadline=self.deadline if deadline is None else deadline, caller=caller,
        )  # fmt: skip

    def close(self) -> None:
        """Cancel what is under way, stop the engine, end the thread. Calling it twice is fine."""
        self.background.close(self._stop)

    async def _stop(self) -> None:
        """Stop the engine once the cancelled calls have let go of it."""
        if self.engine is not None:
            await self.engine.__aexit__(None, None, None)
        if isinstance(judge := getattr(self, "judge", None), Closable):
            await asyncio.to_thread(judge.close)

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a Reranker cannot be pickled or copied (it has a thread): make one in each process")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def _parts(
    request: ModelRequest, own: RankingStrategy | None, journal: str | Path | None, replay: bool
) -> RerankerParts:
    """What `request` names, with the user's own strategy if there is one; what the start should say is logged."""
    plan = Plan.make(request)
    if own is not None:
        check_scores_come(type(own).__name__, own, plan.settings.style, plan.settings.judge.kind)
    note = plan.replay_record(journal) if replay else None
    for line in plan.preflight() if note is None else ():
        log.info("%s", line)
    parts = plan.parts(journal=journal, replay=note)
    if (damage := damage_line(parts.engine)) is not None:
        log.warning("%s", damage)
    return parts if own is None else replace(parts, strategy=own)
