"""What `reasonrank reproduce` works on: the condition, the flags it fills in, its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..datasets import Dataset, load_dataset
from ..errors import InputError
from ..files.caches import cache_root
from ..jobs.flag_adapters import oracle_noise
from ..jobs.rerank_input import RerankInput, clean_run, from_run
from ..types import ScoredDocument
from . import FirstRun, first_run, parse_shard
from .conditions import BENCHMARKS, Condition, find_condition, first_stage

PUBLISHED = ("model", "window", "step", "passes", "depth", "passage_tokens")
"""Flags whose published value is the condition's."""
UNPUBLISHED = ("reasoning_tokens", "answer_k", "profile", "first_stage")
"""Flags that leave the published way whenever they are given."""
DEFAULT = "reasonrank-7b"


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task of the benchmark with its first stage's run, read and checked."""

    name: str
    dataset: Dataset
    first: FirstRun
    work: RerankInput

    def candidates(self) -> Mapping[str, Sequence[ScoredDocument]]:
        """The first stage's run; judged documents have the same docid in every style."""
        return clean_run(self.first.path, self.dataset.excluded)


def asked_condition(benchmark: str, flags: Mapping[str, Any]) -> Condition:
    condition = find_condition(benchmark, flags["condition"] or DEFAULT)
    if condition.kind == "reference":
        raise InputError(
            f"condition {condition.name} holds the numbers of others and cannot be run: "
            f"reasonrank reproduce {benchmark} --list"
        )
    if oracle_noise(flags["judge"]) is None and condition.kind == "first-stage" and flags["model"]:
        raise InputError(f"condition {condition.name} is a first stage: no --model belongs to it")
    return replace(condition, qrels_kind=flags["qrels_kind"] or condition.qrels_kind)


def filled(condition: Condition, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were left out, from the condition; `changed`: what the user asked for otherwise, by name."""
    found: dict[str, Any] = {}
    changed = {name: flags[name] for name in UNPUBLISHED if flags[name] is not None}
    for name in PUBLISHED:
        published, asked = getattr(condition, name) or None, flags[name]
        found[name] = asked if asked is not None else published
        if published is not None and asked not in (None, published):
            changed[name] = asked
    if flags["revision"] is None and "model" not in changed:
        found["revision"] = condition.revision
    return {**found, "changed": changed}


def task_names(condition: Condition, names: Sequence[str]) -> list[str]:
    """The tasks asked for (none: all), in the benchmark's order; spelled with underscores or hyphens."""
    benchmark = BENCHMARKS[condition.benchmark]
    asked = {benchmark.known(name.lower().replace("_", "-")) for name in names}
    return [task for task in benchmark.tasks if not asked or task in asked]


def open_task(
    name: str, condition: Condition, flags: Mapping[str, Any], depth: int, light: bool
) -> TaskInput:
    id = BENCHMARKS[condition.benchmark].dataset(name)
    if id is None:
        raise InputError(
            f"{name} has to be obtained from its owner and is no ir_datasets id: name other --tasks"
        )
    dataset = load_dataset(id)
    source = first_stage(condition.benchmark, condition.first_stage)
    keep = cache_root() if flags["estimate"] else flags["output"]
    first = first_run(
        condition,
        source,
        name,
        dataset,
        how=flags["first_stage"],
        runs=flags["runs"],
        keep=keep / "first-stage",
    )
    shard = parse_shard(flags["shard"])
    work = from_run(
        first.path,
        None if light else dataset.queries(),
        None if light else dataset.documents,
        source=dataset.id,
        depth=depth,
        excluded=dataset.excluded,
        limit=flags["limit"],
        shard=(shard.number, shard.of),
        rename=None if light else getattr(dataset, "hub_ids", None),
        hashes={"dataset": dataset.id},
    )
    return TaskInput(name, dataset, first, work)
