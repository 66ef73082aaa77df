"""What a reranking will take, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..errors import InputError
from ..models.cost import WINDOW_NEW_TOKENS, duration, find_gpu, modelled_seconds
from ..ranking.plan import Plan
from .rerank_input import RerankInput
from .rerank_job import Job

SAMPLE = 20
"""Queries whose first window is built to measure prompts."""


def estimate(job: Job) -> list[str]:
    """Lines for the user: queries, windows, tokens, and a modelled time where the model's size is known."""
    windows = job.windows
    lines = [f"queries            {len(job.work.queries)}", f"windows            {windows}"]
    if not isinstance(job.plan, Plan):
        return lines
    most = job.plan.settings.room
    answers = min(WINDOW_NEW_TOKENS, job.plan.settings.sampling.max_tokens)
    if lengths := list(prompt_lengths(job.plan, job.tokenizer, job.work)):
        mean = sum(lengths) / len(lengths)
        lines += [
            f"prompt tokens      {windows * mean:,.0f} ({mean:,.0f} a window, measured on {len(lengths)} windows)",
            f"new tokens         {windows * answers:,} ({answers} a window assumed; at most {windows * most:,})",
        ]
        lines += modelled_lines(job.plan, windows, mean, answers)
    lines.append(f"context            {job.plan.context} tokens (prompt and answer)")
    return lines


def modelled_lines(
    plan: Plan,
    windows: int,
    prompt: float,
    new: float,
    gpu: str = "h200",
    gpus: int = 1,
    price: float | None = None,
) -> list[str]:
    """Time and money on that hardware, marked as modelled; nothing when the model's size is not known."""
    kind = find_gpu(gpu)
    try:
        seconds = modelled_seconds(plan.profile, kind, windows, prompt, new, gpus)
    except InputError as error:
        return [f"time               not modelled: {error}"]
    if seconds is None:
        return []
    name = plan.profile.name
    found = [f"time on {gpus} {gpu:<9}  {duration(seconds)} (modelled for {name}, not measured)"]
    if price is not None:
        found.append(
            f"money              {seconds / 3600 * gpus * price:,.2f} (modelled, {price:g} a GPU hour)"
        )
    return found


def prompt_lengths(plan: Plan, tokenizer: Any, work: RerankInput) -> Iterator[int]:
    """Tokens of the first windows of some queries, really built."""
    settings, builder = plan.settings, plan.builder(tokenizer)
    for query, candidates in islice(work.load(), SAMPLE):
        documents = [candidate.document for candidate in candidates[: min(settings.window, settings.depth)]]
        if documents:
            yield builder.build(query.text, documents, answer_tokens=settings.room).tokens
