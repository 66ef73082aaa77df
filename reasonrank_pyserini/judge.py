"""The Judge seam: puts the passages of one window in order."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from . import permutation
from .engines import Engine
from .types import Document, Query, Sampling, TaskQuery, Verdict

if TYPE_CHECKING:
    from .prompts import PromptBuilder


class Judge(Protocol):
    """Orders the documents of one window; the verdict's order is relative to `documents`, best first.

    `window` is the number of the window within its query, from 0: seeds derive from it.
    """

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict: ...


def window_seed(seed: int, query_id: str, window: int) -> int:
    """The seed of one window, below 2**31: the same whatever the order of work and however often it resumes."""
    digest = hashlib.sha256(f"{seed}\0{query_id}\0{window}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class RoutedJudge:
    """Hands each query to the judge that `route` names: several tasks, or repeats, in one queue."""

    def __init__(self, route: Callable[[Query], Judge]) -> None:
        self.route = route

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        return await self.route(query).judge(query, documents, window)


def task_of(query: Query) -> str:
    """The task that a query belongs to; "" for a query that belongs to none."""
    return query.task if isinstance(query, TaskQuery) else ""


def repeat_of(query: Query) -> int:
    """Which repeat of its task a query stands for, from 0."""
    return query.repeat if isinstance(query, TaskQuery) else 0


class LLMJudge:
    """Asks a language model: prompt, completion, parsed permutation.

    Prompts are built in one worker thread: the event loop does not wait for a tokenizer, nor share the
    interpreter with many threads that all want to build.
    """

    def __init__(
        self,
        builder: PromptBuilder,
        engine: Engine,
        sampling: Sampling,
        *,
        seed: int = 0,
        compat: bool = False,
    ) -> None:
        self.builder, self.engine, self.sampling = builder, engine, sampling
        self.seed, self.compat = seed, compat
        self._building = ThreadPoolExecutor(1, "reasonrank-prompts")

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        build = partial(self.builder.build, query.text, documents, answer_tokens=self.sampling.max_tokens)
        built = await asyncio.get_running_loop().run_in_executor(self._building, build)
        sampling = replace(self.sampling, seed=window_seed(self.seed, query.id, window))
        completion = await self.engine.complete(built.prompt, sampling)
        if built.prompt.text.rstrip().endswith("<think>"):  # the chat template opened the reasoning
            completion = replace(completion, text=f"<think>{completion.text}")
        parsed = permutation.parse(
            completion.text, len(documents), answer=sampling.answer, compat=self.compat
        )
        notes = {
            "shrunk_passages": built.shrunk_passages,
            "shortened_queries": int(built.query_shortened),
            "neutralised": built.neutralised,
            "forced": int(completion.forced),
            "truncated": int(completion.finish_reason == "length"),
        }
        return Verdict(
            parsed.order,
            parsed.status,
            completion=completion,
            notes={name: count for name, count in notes.items() if count},
        )


class OracleJudge:
    """The Judge seam's fake and the upper bound of any reranker: orders by relevance grade.

    Ties keep the window's order. `noise` is the standard deviation of a normal error on each grade,
    drawn from (seed, query, document): the same document is misjudged the same way in every window.
    """

    def __init__(self, qrels: Mapping[str, Mapping[str, int]], noise: float = 0.0, seed: int = 0) -> None:
        self.qrels, self.noise, self.seed = qrels, noise, seed

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        grades = self.qrels.get(query.id, {})
        values = [grades.get(d.id, 0) + self._error(query.id, d.id) for d in documents]
        return Verdict(tuple(sorted(range(len(documents)), key=lambda i: -values[i])))

    def _error(self, query_id: str, document_id: str) -> float:
        if not self.noise:
            return 0.0
        return random.Random(f"{self.seed}\0{query_id}\0{document_id}").gauss(0.0, self.noise)
