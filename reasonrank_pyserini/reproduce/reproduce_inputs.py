"""What a reproduction works on: its condition, completed by the request, and its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..datasets import Dataset, load_dataset
from ..errors import InputError
from ..files.caches import cache_root
from ..jobs.collection import CollectionRequest, open_collection
from ..jobs.rerank_input import RerankInput, clean_run, from_run
from ..models.profiles import GENERIC, find_profile, shipped_profile
from ..ranking.model_request import ModelRequest, SettingOverrides
from ..ranking.setting_effects import STRATEGY_SETTINGS, Judging
from ..types import ScoredDocument
from .condition_runs import FirstRun, first_run
from .condition_settings import PUBLISHED_SETTINGS, published_settings
from .conditions import BENCHMARKS, Condition, conditions, find_condition
from .reproduce_request import ModelOverrides, ReproduceRequest

UNPUBLISHED_SETTINGS = (
    "reasoning_tokens", "answer_k", "style", "answer_tokens", "temperature", "top_p", "top_k", "min_p",
    "strategy", "strategy_args", "budget", "fuse", "fuse_weight",
)  # fmt: skip
"""Settings that differ from the publication whenever they are given."""


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task of the benchmark with its first stage's run, read and checked."""

    name: str
    dataset: Dataset
    first: FirstRun
    work: RerankInput

    def candidates(self) -> Mapping[str, Sequence[ScoredDocument]]:
        """The first stage's run; judged documents have the same docid in every style."""
        return clean_run(self.first.run, self.dataset.excluded)


@dataclass(frozen=True, slots=True)
class FilledCondition:
    """A condition together with a request's own values.

    `model` is None where the condition is a first stage alone. `changed`: the values that differ from the
    publication, by name.
    """

    condition: Condition
    model: ModelRequest | None
    settings: SettingOverrides
    changed: Mapping[str, Any]

    @property
    def depth(self) -> int:
        return self.settings.depth or self.condition.depth

    @property
    def differences(self) -> str:
        """The values that differ from the publication, in words; empty when there are none."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.changed.items())


def fill(request: ReproduceRequest) -> FilledCondition:
    """The request's condition, with the request's values in place of its own; InputError where they do not fit."""
    condition = find_condition(request.benchmark, request.condition)
    if condition.kind == "reference":
        others = [one.name for one in conditions(request.benchmark) if one.kind != "reference"]
        raise InputError(
            f"condition {condition.name} only quotes other papers' numbers and cannot be run: "
            f"choose one of {', '.join(others)}"
        )
    own = request.model
    _check_used(condition, request)
    settings = _settings(condition, request)
    changed = _changed(condition, request)
    model = own.model or condition.model
    revision = own.revision
    if revision is None and "model" not in changed:
        revision = condition.revision
    return FilledCondition(
        replace(condition, qrels_kind=request.qrels_kind or condition.qrels_kind),
        None if model is None else ModelRequest(
            model=model, revision=revision, tokenizer=own.tokenizer, profile=own.profile, engine=own.engine,
            base_urls=tuple(own.base_urls), servers=own.servers, replicas=own.replicas, ray=own.ray,
            vllm_python=own.vllm_python, api=own.api, engine_args=own.engine_args, settings=settings,
        ),
        settings,
        changed,
    )  # fmt: skip


def _check_used(condition: Condition, request: ReproduceRequest) -> None:
    """InputError for values given for a model where no model is used."""
    own, usual = request.model, ModelOverrides()
    names = [item.name for item in fields(own) if getattr(own, item.name) != getattr(usual, item.name)]
    if request.oracle is not None and names:
        raise InputError(f"`judge` oracle asks no model: leave {_listed(names)} out")
    if request.oracle is None and condition.kind == "first-stage":
        names += [name for name in request.settings.given() if name != "depth"]
        if names:
            raise InputError(f"condition {condition.name} is a first stage: leave {_listed(names)} out")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _settings(condition: Condition, request: ReproduceRequest) -> SettingOverrides:
    """The request's settings, with the condition's for those that it leaves out and that have an effect."""
    given, model = request.settings.given(), request.model.model or condition.model
    profile = shipped_profile(GENERIC)
    if request.oracle is None and model is not None:
        profile, _ = find_profile(model, request.model.profile)
    judge: Judging = "oracle" if request.oracle is not None else profile.judge.kind
    published = published_settings(condition, given.get("strategy", profile.strategy), judge)
    options = given.get("strategy_args") or {}
    unset = {
        name: value
        for name, value in published.items()
        if name not in given and not any(option in options for option in STRATEGY_SETTINGS.get(name, ()))
    }
    return replace(request.settings, **unset)


def _changed(condition: Condition, request: ReproduceRequest) -> dict[str, Any]:
    given = request.settings.given()
    changed = {name: given[name] for name in UNPUBLISHED_SETTINGS if name in given}
    others = {"profile": request.model.profile, "first_stage": request.first_stage}
    changed |= {name: value for name, value in others.items() if value is not None}
    own = {"model": request.model.model, **{name: given.get(name) for name in PUBLISHED_SETTINGS}}
    for name, value in own.items():
        published = getattr(condition, name) or None
        if published is not None and value not in (None, published):
            changed[name] = value
    return changed


def task_names(condition: Condition, names: Sequence[str]) -> list[str]:
    """The tasks of those names (none: all), in the benchmark's order; underscores and hyphens are the same."""
    benchmark = BENCHMARKS[condition.benchmark]
    wanted = {benchmark.known(name.lower().replace("_", "-")) for name in names}
    return [task for task in benchmark.tasks if not wanted or task in wanted]


def task_dataset(condition: Condition, task: str) -> Dataset:
    """The test collection of a task; InputError where it cannot be downloaded."""
    return load_dataset(task_id(condition, task))


def task_id(condition: Condition, task: str) -> str:
    """The id of the task's test collection; InputError where it cannot be downloaded."""
    id = BENCHMARKS[condition.benchmark].dataset(task)
    if id is None:
        raise InputError(
            f"the collection of {task} cannot be downloaded: its owner gives it on request; leave it out of `tasks`"
        )
    return id


def open_task(task: str, filled: FilledCondition, request: ReproduceRequest, *, texts: bool) -> TaskInput:
    """The task with its first-stage run; `texts`: queries and passages are read and checked, too."""
    condition = filled.condition
    dataset = task_dataset(condition, task)
    keep = cache_root() if request.output is None else Path(request.output)
    first = first_run(
        condition, task, dataset, how=request.first_stage, runs=request.runs, keep=keep / "first-stage"
    )
    collection = open_collection(CollectionRequest(dataset=dataset))
    work = from_run(
        first.run,
        collection,
        depth=filled.depth,
        texts=texts,
        limit=request.limit,
    )
    return TaskInput(task, dataset, first, work)
