"""ReasonRank as a rollout of datatrove's InferenceRunner: datatrove starts vLLM, queues, writes; the judge is ours.

A datatrove document is a query: its text, and in `metadata["candidates"]` records with `id` and `text` in the order of
the first stage. Give the runner both functions and a server that takes token ids:

    InferenceRunner(
        rollout_fn=rerank,
        shared_context=partial(shared_context, "liuwenhan/reasonrank-7B"),
        config=InferenceConfig("vllm", "liuwenhan/reasonrank-7B", model_max_context=32768, use_chat=False),
        output_writer=JsonlWriter("ranked"),
    )

Tried with a `generate` of the same form; the names of datatrove 0.10 were read, datatrove was not run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reasonrank_pyserini import Candidate, Document, Query, SlidingWindow
from reasonrank_pyserini.prompts import STYLES, PromptBuilder, PromptStyle
from reasonrank_pyserini.prompts.prompt_thread import PromptThread
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.ranking.scheduler import rerank_query
from reasonrank_pyserini.types import Completion, Prompt, Sampling


@contextmanager
def shared_context(model: str, style: str = "reasonrank", context: int = 32768) -> Iterator[dict[str, Any]]:
    """What the rollouts of one process share: the tokenizer and the thread that uses it."""
    from transformers import AutoTokenizer

    builder = PromptBuilder(STYLES[style], AutoTokenizer.from_pretrained(model), context=context)
    thread = PromptThread()
    try:
        yield {"builder": builder, "thread": thread}
    finally:
        thread.close()


async def rerank(
    document: Any, generate: Callable[[dict[str, Any]], Awaitable[Any]], *, builder: PromptBuilder, thread: PromptThread
) -> dict[str, Any]:  # fmt: skip
    """The ids of a document's candidates, best first, and how the answer of each window was read."""
    records = document.metadata["candidates"]
    candidates = [Candidate(Document.from_record(str(record["id"]), record)) for record in records]
    engine: Any = GenerateEngine(generate)
    assert isinstance(builder.style, PromptStyle)
    judge = LLMJudge(builder, engine, builder.style.sampling, prompt_thread=thread)
    ranking = await rerank_query(Query(str(document.id), document.text), candidates, SlidingWindow(), judge)
    return {"ranking": list(ranking.ids), "statuses": [step.verdict.status.value for step in ranking.steps]}


@dataclass(frozen=True)
class GenerateEngine:
    """The part of an engine that a judge needs: `complete`, by awaiting `generate`."""

    generate: Callable[[dict[str, Any]], Awaitable[Any]]

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        payload = {"prompt": list(prompt.token_ids or ()), "max_tokens": sampling.max_tokens, "seed": sampling.seed,
                   "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k or -1,
                   "min_p": sampling.min_p, "repetition_penalty": 1.0}  # fmt: skip
        result = await self.generate(payload)
        return Completion(
            result.text,
            prompt_tokens=result.usage.get("prompt_tokens", 0),
            completion_tokens=result.usage.get("completion_tokens", 0),
            finish_reason=result.finish_reason,
        )
