"""`estimate`: what a reproduction will take, before anything is loaded or paid for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import InputError
from ..jobs.saying import Say, silent
from ..jobs.task_runs import windows
from ..models.cost import WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS, find_gpu, modelled_seconds
from ..ranking.plan import Plan
from .reproduce_job import Reproduction
from .reproduce_request import ReproduceRequest


@dataclass(frozen=True, slots=True)
class ReproduceEstimate:
    """Tasks, queries and windows counted; tokens (per window), seconds and money modelled, not measured.

    Tokens are None where no model is called, seconds where the model's size is not known or it does not fit the
    GPUs (`not_modelled` says so). `money` is None without a price. `profile` is the model profile behind the figures.
    """

    tasks: int
    queries: int
    windows: int
    prompt_tokens: float | None = None
    new_tokens: int | None = None
    profile: str | None = None
    seconds: float | None = None
    money: float | None = None
    not_modelled: str | None = None


def estimate(
    request: ReproduceRequest,
    gpu: str = "h200",
    gpus: int = 1,
    price: float | None = None,
    *,
    say: Say = silent,
) -> ReproduceEstimate:
    """What the request takes on that many GPUs of a class, at `price` per GPU hour; only first-stage runs are read."""
    job = Reproduction.prepare(replace(request, output=None), estimate_only=True)
    for note in job.notes():
        say(note)
    plan = job.plan
    if plan is None:
        return ReproduceEstimate(len(job.tasks), job.queries, 0)
    count = request.repeat * sum(windows(task.work, plan.settings) for task in job.tasks)
    found = ReproduceEstimate(len(job.tasks), job.queries, count)
    return _modelled(found, plan, gpu, gpus, price) if isinstance(plan, Plan) else found


def _modelled(
    found: ReproduceEstimate, plan: Plan, gpu: str, gpus: int, price: float | None
) -> ReproduceEstimate:
    kind, settings = find_gpu(gpu), plan.settings
    prompt = WINDOW_PROMPT_TOKENS * settings.window * settings.passage_tokens / (20 * 512)
    new = min(WINDOW_NEW_TOKENS, settings.sampling.max_tokens)
    found = replace(found, prompt_tokens=prompt, new_tokens=new, profile=plan.profile.name)
    try:
        seconds = modelled_seconds(plan.profile, kind, found.windows, prompt, new, gpus)
    except InputError as error:
        return replace(found, not_modelled=str(error))
    money = None if seconds is None or price is None else seconds / 3600 * gpus * price
    return replace(found, seconds=seconds, money=money)
