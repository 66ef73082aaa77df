"""`estimate`: what a reproduction will take, before anything is loaded or paid for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..datasets import SOURCES
from ..errors import InputError
from ..jobs.rerank_job import plan_notes
from ..jobs.saying import Say, silent
from ..jobs.task_runs import calls, windows
from ..lazy import resolve
from ..models.cost import WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS, find_gpu, modelled_seconds
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from .condition_runs import lacks_public_run
from .reproduce_inputs import FilledCondition, fill, task_id, task_names
from .reproduce_job import Reproduction
from .reproduce_request import ReproduceRequest

AnyPlan = Plan | OraclePlan | None


@dataclass(frozen=True, slots=True)
class ReproduceEstimate:
    """Tasks, queries, windows and calls counted; tokens (per call), seconds and money modelled, not measured.

    Tokens are None where no model is called, seconds where the model's size is not known or it does not fit the
    GPUs (`not_modelled` says so). `money` is None without a price. `profile` is the model profile behind the figures.
    `calls`, `at_most`: as in `jobs.RerankEstimate`.
    """

    tasks: int
    queries: int
    windows: int
    calls: int = 0
    prompt_tokens: float | None = None
    new_tokens: int | None = None
    profile: str | None = None
    seconds: float | None = None
    money: float | None = None
    not_modelled: str | None = None
    at_most: bool = False


def estimate(
    request: ReproduceRequest,
    gpu: str = "h200",
    gpus: int = 1,
    price: float | None = None,
    *,
    say: Say = silent,
) -> ReproduceEstimate:
    """What the request takes on `gpus` GPUs of a class, at `price` per GPU hour.

    Queries are counted as published, each with as many candidates as the condition reranks; nothing is downloaded.
    Given `runs` are read and counted instead.
    """
    counted = None if request.runs is not None else _published(request, say)
    found, plan = counted if counted is not None else _read(request, say)
    found = replace(found, at_most=plan is not None and plan.settings.calls_vary)
    return _modelled(found, plan, gpu, gpus, price) if isinstance(plan, Plan) else replace(found, calls=0)


def _read(request: ReproduceRequest, say: Say) -> tuple[ReproduceEstimate, AnyPlan]:
    """The counts of the first-stage runs, and the plan."""
    job = Reproduction.prepare(replace(request, output=None), estimate_only=True)
    for note in job.notes():
        say(note)
    plan = job.plan
    if plan is None:
        return ReproduceEstimate(len(job.tasks), job.queries, 0), None
    shown, asked = (sum(count(task.work, plan.settings) for task in job.tasks) for count in (windows, calls))
    repeat = request.repeat
    return ReproduceEstimate(len(job.tasks), job.queries, repeat * shown, repeat * asked), plan


def _published(request: ReproduceRequest, say: Say) -> tuple[ReproduceEstimate, AnyPlan] | None:
    """The same without any run, by the published numbers of queries; None where one is not known."""
    request.check()
    filled = fill(request)
    tasks = task_names(filled.condition, request.tasks)
    if problem := lacks_public_run(filled.condition, tasks, request.first_stage):
        say(problem)
    known = {entry.id: entry.queries for entry in resolve("dataset source", "catalogue", SOURCES)()}
    published = [known.get(task_id(filled.condition, task)) for task in tasks]
    counts = [count for count in published if count is not None]
    if len(counts) < len(published):
        return None
    queries = sum(len(range(count)[: request.limit]) for count in counts)
    plan = _plan(request, filled)
    for note in plan_notes(plan) if plan is not None else ():
        say(note)
    if filled.differences:
        say(f"not as published: {filled.differences}")
    if plan is None:
        return ReproduceEstimate(len(tasks), queries, 0), None
    shown = min(filled.condition.depth, plan.settings.depth)
    say(f"queries are counted as published, with {shown} candidates each")
    settings, times = plan.settings, request.repeat * queries
    each = settings.ranking_strategy.calls(shown), settings.calls(shown)
    return ReproduceEstimate(len(tasks), queries, times * each[0], times * each[1]), plan


def _plan(request: ReproduceRequest, filled: FilledCondition) -> AnyPlan:
    if request.oracle is not None:
        return OraclePlan.make({}, request.oracle, filled.settings)
    return None if filled.model is None else Plan.make(filled.model)


def _modelled(
    found: ReproduceEstimate, plan: Plan, gpu: str, gpus: int, price: float | None
) -> ReproduceEstimate:
    kind, settings = find_gpu(gpu), plan.settings
    tokens = settings.passage_tokens
    if plan.profile.own_passage_tokens:  # few passages are longer than those that were counted
        tokens = min(tokens, 512)
    shown = settings.passages_a_call(settings.depth) or settings.window
    prompt = WINDOW_PROMPT_TOKENS * shown * tokens / (20 * 512)
    new = min(WINDOW_NEW_TOKENS, settings.sampling.max_tokens)
    found = replace(found, prompt_tokens=prompt, new_tokens=new, profile=plan.profile.name)
    try:
        seconds = modelled_seconds(plan.profile, kind, found.calls, prompt, new, gpus)
    except InputError as error:
        return replace(found, not_modelled=str(error))
    money = None if seconds is None or price is None else seconds / 3600 * gpus * price
    return replace(found, seconds=seconds, money=money)
