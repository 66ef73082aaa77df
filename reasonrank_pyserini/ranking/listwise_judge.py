"""LLMJudge: a listwise model orders the passages of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import permutation
from ..engines import Engine
from ..errors import EngineDiedError, EngineError
from ..prompts.answers import READERS
from ..prompts.forcing import CLOSING_TOKENS, answer_budget, continuation, is_missing, may_be_continued
from ..prompts.prompt_thread import PromptThread
from ..types import (
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
from .asking import with_opening
from .judge import window_seed

if TYPE_CHECKING:
    from ..prompts import PromptBuilder


class LLMJudge:
    """Asks a language model: prompt, completion, parsed permutation.

    Where the token budget ended before the answer, or the model gave none, a second request continues the model's
    own text and asks only for the answer (`force_answer`; never with `compat`, and not where the engine takes chat
    messages, which cannot be continued: there the first answer stands). `constrained`: an engine that can enforce a
    permutation does so in the first request as well. Where the second request fails, a cut first answer that can be
    read stands (`unforced` in the notes). `answer_k`: an answer with the first k passages is complete (0: all), and
    the others follow in window order; an enforced or forced answer ends there. `reading`: whose
    program reads the answer with `compat`. Prompts are built in
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
        reading: str = "permutation",
        prompt_thread: PromptThread | None = None,
    ) -> None:
        self.builder, self.engine, self.sampling = builder, engine, sampling
        self.seed, self.compat = seed, compat
        self.force_answer, self.constrained = force_answer and not compat, constrained and not compat
        self.answer_k = 0 if compat else answer_k
        self._authors_reader = READERS.get(reading) if compat else None
        self._prompt_thread = prompt_thread or PromptThread()

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._prompt_thread.close()

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        return await self.judge_shown(query, documents, (), window)

    async def judge_shown(
        self, query: Query, documents: Sequence[Document], scores: Sequence[float], window: int
    ) -> Verdict:
        """`judge`, with the first stage's `scores` for a prompt that shows them."""
        n, room = len(documents), self._answer_tokens(len(documents)) + CLOSING_TOKENS
        budget = self.sampling.max_tokens + (room if self.force_answer else 0)
        built = await self._prompt_thread.run(
            self.builder.build, query.text, documents, answer_tokens=budget, scores=scores
        )
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
            completion=replace(
                completion, text=with_opening(built.prompt.text, completion.text), token_ids=None
            ),
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
        text = with_opening(prompt.text, completion.text)
        if self._authors_reader is not None:
            answer = self._authors_reader(text, n, True)
            return Parsed(answer.order, answer.status)
        count = self._count(n) if self.answer_k else None
        return permutation.parse(text, n, answer=self.sampling.answer, compat=self.compat, count=count)

    async def _forced(
        self, prompt: Prompt, first: Completion, parsed: Parsed, sampling: Sampling
    ) -> tuple[Completion, bool]:
        """The first completion with the answer of a second request, and whether that request failed.

        The first alone where it cannot be continued. The failure is raised where the first cannot be read.
        """
        n, text = len(parsed.order), with_opening(prompt.text, first.text)
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
