"""The Judge seam: puts the passages of one window in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..types import (
    Candidate,
    Document,
    Query,
    Verdict,
)

if TYPE_CHECKING:
    pass


class Judge(Protocol):
    """Orders the documents of one window; the verdict's order is relative to `documents`, best first.

    `window` is the number of the window within its query, from 0: seeds derive from it.
    """

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict: ...


@runtime_checkable
class CandidateJudge(Protocol):
    """A judge that also needs what the first stage said of the documents: it is given Candidates instead."""

    async def judge_candidates(
        self, query: Query, candidates: Sequence[Candidate], window: int = 0
    ) -> Verdict: ...


JudgeFactory = Callable[[int | None], Judge]
"""Makes a judge once the engine runs, from the context in tokens that its server states (None: it states none)."""


@runtime_checkable
class Closable(Protocol):
    """A judge that holds something, such as a thread; a Reranker calls `close` when it is closed."""

    def close(self) -> None: ...


def window_seed(seed: int, query_id: str, window: int) -> int:
    """The seed of one window, below 2**31: the same whatever the order of work and however often it resumes."""
    digest = hashlib.sha256(f"{seed}\0{query_id}\0{window}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A task among several that are reranked together, and which of its repeats, from 0."""

    task: str = ""
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A query with its candidates, as part of a task: for `Reranker.rerank_tasks`."""

    key: TaskKey
    query: Query
    candidates: tuple[Candidate, ...]


class RoutedJudge:
    """One judge for every task and repeat: `judge_of` gives it; used as a judge it is that of `TaskKey()`.

    `close` is what `closing` does, nothing by default.
    """

    def __init__(
        self, judge_of: Callable[[TaskKey], Judge], closing: Callable[[], None] = lambda: None
    ) -> None:
        self.judge_of, self.close = judge_of, closing

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        return await self.judge_of(TaskKey()).judge(query, documents, window)
