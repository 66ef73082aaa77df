"""One request about some passages: a prompt is built and the model completes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..engines import Engine
from ..errors import EngineError
from ..prompts.answers import Answer
from ..prompts.prompt_thread import PromptThread
from ..types import Completion, Document, Query, Sampling, Verdict

if TYPE_CHECKING:
    from ..prompts import BuiltPrompt, PromptBuilder


class Asked(NamedTuple):
    """A prompt with its completion."""

    built: BuiltPrompt
    completion: Completion

    @property
    def text(self) -> str:
        """The completion's text, with the `<think>` that the chat template wrote for it, if it did."""
        return with_opening(self.built.prompt.text, self.completion.text)

    def notes(self) -> dict[str, int]:
        """What was done to the prompt and how the answer ended, without zeros."""
        counts = {
            "shrunk_passages": self.built.shrunk_passages,
            "shortened_queries": int(self.built.query_shortened),
            "neutralised": self.built.neutralised,
            "forced": int(self.completion.forced),
            "truncated": int(self.completion.finish_reason == "length"),
        }
        return {name: count for name, count in counts.items() if count}


class Asker:
    """Builds prompts in `prompt_thread`, which several judges may share, and asks the engine.

    `spare`: tokens that prompts leave free for a second request that continues the first.
    """

    def __init__(
        self,
        builder: PromptBuilder,
        engine: Engine,
        sampling: Sampling,
        prompt_thread: PromptThread | None = None,
        *,
        spare: int = 0,
    ) -> None:
        self.builder, self.engine, self.sampling = builder, engine, sampling
        self.prompt_thread = prompt_thread or PromptThread()
        self._budget = sampling.max_tokens + spare

    async def ask(self, query: Query, documents: Sequence[Document], seed: int) -> Asked:
        """The model's answer about the documents."""
        built = await self.prompt_thread.run(
            self.builder.build, query.text, documents, answer_tokens=self._budget
        )
        return Asked(built, await self.engine.complete(built.prompt, replace(self.sampling, seed=seed)))

    async def ask_on(self, asked: Asked, written: str, closing: str, sampling: Sampling) -> Completion | None:
        """The model's continuation of its prompt with `written` (its own text) and `closing` (ours).

        None for a prompt without token ids, which cannot be continued.
        """
        longer = await self.prompt_thread.run(self.builder.extended, asked.built.prompt, written, closing)
        return None if longer is None else await self.engine.complete(longer, sampling)


def scored_verdict(answer: Answer, asked: Sequence[Asked]) -> Verdict:
    """The verdict of an answer that should score every passage; `unscored` in its notes counts those without."""
    completion, notes = summed(asked)
    if answer.unscored:
        notes = {**notes, "unscored": answer.unscored}
    return Verdict(answer.order, answer.status, answer.scores, completion, notes=notes)


def checked_logprobs(completion: Completion) -> Mapping[int, float]:
    """The log-probabilities that were asked for; EngineError where the engine gives none."""
    if completion.logprobs is None:
        raise EngineError(
            "the engine gives no log-probabilities by token id, which this reranker's scores are made of: "
            "use a vLLM server or `engine` transformers"
        )
    return completion.logprobs


def with_opening(prompt: str, text: str) -> str:
    """A completion's text, with the `<think>` that its prompt ends with, if it does."""
    return f"<think>{text}" if prompt.rstrip().endswith("<think>") else text


def joined(first: Completion, between: str, second: Completion) -> Completion:
    """Both requests as one completion, with the second's log-probabilities; how it ended is the first's."""
    return replace(
        first,
        text=f"{first.text}{between}{second.text}",
        completion_tokens=first.completion_tokens + second.completion_tokens,
        seconds=first.seconds + second.seconds,
        cached=first.cached and second.cached,
        forced=True,
        token_ids=None,
        logprobs=second.logprobs,
    )


def summed(answers: Sequence[Asked]) -> tuple[Completion, Mapping[str, int]]:
    """Several answers as one completion, numbered where there are several, and the sum of their notes."""
    completions = [answer.completion for answer in answers]
    texts = [answer.text for answer in answers]
    notes: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.notes().items():
            notes[name] = notes.get(name, 0) + count
    whole = Completion(
        texts[0] if len(texts) == 1 else "\n\n".join(f"[{at}] {text}" for at, text in enumerate(texts, 1)),
        prompt_tokens=sum(completion.prompt_tokens for completion in completions),
        completion_tokens=sum(completion.completion_tokens for completion in completions),
        finish_reason="length" if any(c.finish_reason == "length" for c in completions) else "stop",
        seconds=max(completion.seconds for completion in completions),
        cached=all(completion.cached for completion in completions),
        forced=any(completion.forced for completion in completions),
    )
    return whole, notes
