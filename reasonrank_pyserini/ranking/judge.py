"""The Judge seam: puts the passages of one window in order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .. import permutation
from ..engines import Engine
from ..errors import EngineDiedError, EngineError
from ..prompts.forcing import CLOSING_TOKENS, answer_budget, continuation, is_missing, may_be_continued
from ..prompts.prompt_thread import PromptThread
from ..types import (
    Candidate,
    Completion,
    Document,
    Parsed,
    ParseStatus,
    Permutation,
    Prompt,
    Query,
    Sampling,
    Verdict,
)

if TYPE_CHECKING:
    from ..prompts import PromptBuilder


class Judge(Protocol):
    """Orders the documents of one window; the verdict's order is relative to `documents`, best first.

    `window` is the number of the window within its query, from 0: seeds derive from it.
    """

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict: ...


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


class LLMJudge:
    """Asks a language model: prompt, completion, parsed permutation.

    Where the token budget ended before the answer, or the model gave none, a second request continues the model's
    own text and asks only for the answer (`force_answer`; never with `compat`, and not where the engine takes chat
    messages, which cannot be continued: there the first answer stands). `constrained`: an engine that can enforce a
    permutation does so in the first request as well. Where the second request fails, a cut first answer that can be
    read stands (`unforced` in the notes). `answer_k`: an answer with the first k passages is complete (0: all), and
    the others follow in window order; an enforced or forced answer ends there. Prompts are built in
    `prompt_thread`, which several judges may share; without one the judge has a thread of its own.
    """

    def __init__(
        self,
        builder: PromptBuilder,
        engine: Engine,
        sampling: Sampling,
        *,
        seed: int = 0,
        compat: bool = False,
        force_answer: bool = True,
        constrained: bool = False,
        answer_k: int = 0,
        prompt_thread: PromptThread | None = None,
    ) -> None:
        self.builder, self.engine, self.sampling = builder, engine, sampling
        self.seed, self.compat = seed, compat
        self.force_answer, self.constrained = force_answer and not compat, constrained and not compat
        self.answer_k = 0 if compat else answer_k
        self._prompt_thread = prompt_thread or PromptThread()

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._prompt_thread.close()

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        n, room = len(documents), self._answer_tokens(len(documents)) + CLOSING_TOKENS
        budget = self.sampling.max_tokens + (room if self.force_answer else 0)
        built = await self._prompt_thread.run(self.builder.build, query.text, documents, answer_tokens=budget)
        sampling = self._sampling(query, n, window)
        completion = await self.engine.complete(built.prompt, sampling)
        truncated, unforced = completion.finish_reason == "length", False
        parsed = self._parsed(built.prompt, completion, n)
        if self.force_answer and is_missing(completion, parsed, sampling.answer):
            completion, unforced = await self._forced(built.prompt, completion, parsed, sampling)
            parsed = self._parsed(built.prompt, completion, n)
        notes = {
            "shrunk_passages": built.shrunk_passages,
            "shortened_queries": int(built.query_shortened),
            "neutralised": built.neutralised,
            "forced": int(completion.forced),
            "unforced": int(unforced),
            "truncated": int(truncated),
        }
        return Verdict(
            parsed.order,
            parsed.status,
            completion=replace(completion, text=_with_opening(built.prompt, completion.text), token_ids=None),
            notes={name: count for name, count in notes.items() if count},
        )

    def _count(self, n: int) -> int:
        return min(n, self.answer_k or n)

    def _answer_tokens(self, n: int) -> int:
        """The token budget of a request that asks only for the answer."""
        answer_tokens = self.sampling.max_tokens - (self.sampling.reasoning_tokens or 0)
        return answer_budget(answer_tokens, max(1, n), max(1, self._count(n)))

    def _sampling(self, query: Query, n: int, window: int) -> Sampling:
        sampling, enforced = self.sampling, None
        if self.constrained:  # a bare answer without reasoning starts at once
            written = "" if sampling.answer == "bare" and not sampling.reasoning_tokens else None
            enforced = Permutation(n, self._count(n), sampling.answer, written)
        return replace(sampling, seed=window_seed(self.seed, query.id, window), permutation=enforced)

    def _parsed(self, prompt: Prompt, completion: Completion, n: int) -> Parsed:
        text = _with_opening(prompt, completion.text)
        count = self._count(n) if self.answer_k else None
        return permutation.parse(text, n, answer=self.sampling.answer, compat=self.compat, count=count)

    async def _forced(
        self, prompt: Prompt, first: Completion, parsed: Parsed, sampling: Sampling
    ) -> tuple[Completion, bool]:
        """The first completion with the answer of a second request, and whether that request failed.

        The first alone where it cannot be continued. The failure is raised where the first cannot be read.
        """
        n, text = len(parsed.order), _with_opening(prompt, first.text)
        then = continuation(text, n, answer=sampling.answer, count=self._count(n))
        known = first if may_be_continued(first) else replace(first, token_ids=None)
        longer = await self._prompt_thread.run(
            self.builder.continued, prompt, known, then.closing, sampling.max_tokens
        )
        if longer is None:
            return first, False
        tokens = self._answer_tokens(n)
        alone = replace(sampling, max_tokens=tokens, reasoning_tokens=0, permutation=then.permutation)
        try:
            second = await self.engine.complete(longer, alone)
        except EngineError as error:
            if isinstance(error, EngineDiedError) or parsed.status is ParseStatus.FAILED:
                raise
            return first, True
        return _joined(first, then.closing, second), False


def _joined(first: Completion, closing: str, second: Completion) -> Completion:
    """Both requests as one completion; its prompt is the first's."""
    return Completion(
        f"{first.text}{closing}{second.text}",
        prompt_tokens=first.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        finish_reason=second.finish_reason,
        seconds=first.seconds + second.seconds,
        cached=first.cached and second.cached,
        forced=True,
    )


def _with_opening(prompt: Prompt, text: str) -> str:
    """A completion's text, with the `<think>` that the chat template wrote for it, if it did."""
    return f"<think>{text}" if prompt.text.rstrip().endswith("<think>") else text


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
