"""What a reranking will take, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    """What a reranking takes; an oracle's has no calls and no tokens. `at_most`: windows and calls are upper bounds.

    `calls`: requests to the model, without second ones for an answer that is missing; more than `windows` where the
    model judges each passage, or several times. `prompt_tokens`: mean of a call, measured on the calls of
    `measured` windows. `new_tokens`: assumed for a call, `most_new` at most. `context`: tokens of prompt and answer.
    `seconds`: modelled for `profile` on one H200; None where the model's size is not known, or where the card cannot
    hold it (`not_modelled` says why).
    """

    queries: int
    windows: int
    calls: int = 0
    prompt_tokens: float | None = None
    measured: int = 0
    new_tokens: int | None = None
    most_new: int | None = None
    context: int | None = None
    profile: str | None = None
    seconds: float | None = None
    not_modelled: str | None = None
    at_most: bool = False


def estimate(request: RerankRequest, *, say: Say = silent) -> RerankEstimate:
    """The figures of a reranking; reads its input and the tokenizer, loads no model. `say` as for `rerank`."""
    job = Job.prepare(request, say)
    plan, queries, windows = job.plan, len(job.work.queries), job.windows
    found = RerankEstimate(queries, windows, job.calls, at_most=plan.settings.calls_vary)
    if not isinstance(plan, Plan):
        return found
    lengths = list(_prompt_lengths(job, plan))
    if not lengths:
        return replace(found, context=plan.context)
    prompt, most = sum(lengths) / len(lengths), plan.settings.room
    new = min(WINDOW_NEW_TOKENS, plan.settings.sampling.max_tokens)
    seconds, problem = None, None
    try:
        seconds = modelled_seconds(plan.profile, find_gpu("h200"), job.calls, prompt, new, 1)
    except InputError as error:
        problem = str(error)
    return replace(
        found, prompt_tokens=prompt, measured=len(lengths), new_tokens=new, most_new=most, context=plan.context,
        profile=plan.profile.name, seconds=seconds, not_modelled=problem,
    )  # fmt: skip


def _prompt_lengths(job: Job, plan: Plan) -> Iterator[float]:
    """Tokens of a call about a window of mean size, for some queries: of their first candidates, really built."""
    settings, builder = plan.settings, plan.builder(job.tokenizer)
    for query, candidates in islice(job.work.load(), SAMPLE):
        n = min(len(candidates), settings.depth)
        mean = settings.passages_a_call(n) or n
        documents = [candidate.document for candidate in candidates[: min(n, round(mean))]]
        if documents:
            tokens = builder.build(query.text, documents, answer_tokens=settings.room).tokens
            yield tokens * mean / len(documents)
