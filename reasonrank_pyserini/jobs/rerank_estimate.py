"""What a reranking will take, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ..errors import InputError
from ..models.cost import WINDOW_NEW_TOKENS, find_gpu, modelled_seconds
from ..ranking.plan import Plan
from .rerank_job import Job
from .rerank_request import RerankRequest
from .saying import Say, silent

SAMPLE = 20
"""Queries whose first window is built to measure prompts."""


@dataclass(frozen=True, slots=True)
class RerankEstimate:
    """What a reranking takes; an oracle's has no tokens.

    `prompt_tokens`: mean of a window, measured on `measured` windows. `new_tokens`: assumed for a window, `most_new`
    at most. `context`: tokens of prompt and answer. `seconds`: modelled for `profile` on one H200; None where the
    model's size is not known, or where the card cannot hold it (`not_modelled` says why).
    """

    queries: int
    windows: int
    prompt_tokens: float | None = None
    measured: int = 0
    new_tokens: int | None = None
    most_new: int | None = None
    context: int | None = None
    profile: str | None = None
    seconds: float | None = None
    not_modelled: str | None = None


def estimate(request: RerankRequest, *, say: Say = silent) -> RerankEstimate:
    """The figures of a reranking; reads its input and the tokenizer, loads no model. `say` as for `rerank`."""
    job = Job.prepare(request, say)
    plan, queries, windows = job.plan, len(job.work.queries), job.windows
    if not isinstance(plan, Plan):
        return RerankEstimate(queries, windows)
    lengths = list(_prompt_lengths(job, plan))
    if not lengths:
        return RerankEstimate(queries, windows, context=plan.context)
    prompt, most = sum(lengths) / len(lengths), plan.settings.room
    new = min(WINDOW_NEW_TOKENS, plan.settings.sampling.max_tokens)
    seconds, problem = None, None
    try:
        seconds = modelled_seconds(plan.profile, find_gpu("h200"), windows, prompt, new, 1)
    except InputError as error:
        problem = str(error)
    return RerankEstimate(
        queries, windows, prompt, len(lengths), new, most, plan.context, plan.profile.name, seconds, problem
    )


def _prompt_lengths(job: Job, plan: Plan) -> Iterator[int]:
    """Tokens of the first windows of some queries, really built."""
    settings, builder = plan.settings, plan.builder(job.tokenizer)
    for query, candidates in islice(job.work.load(), SAMPLE):
        documents = [candidate.document for candidate in candidates[: min(settings.window, settings.depth)]]
        if documents:
            yield builder.build(query.text, documents, answer_tokens=settings.room).tokens
