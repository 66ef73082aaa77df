"""Reads a benchmark's TOML into records, strictly."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from ...errors import FileFormatError
from .condition import Benchmark, Condition, FirstStageSource, UpstreamRun
from .condition_rules import (
    BENCHMARK_RULES,
    CONDITION_RULES,
    FIRST_STAGE_RULES,
    RUN_RULES,
    TASK_RULES,
    Fail,
    checked,
)

_DEFAULTS: dict[str, Any] = {
    "model": None,
    "revision": None,
    "window": 0,
    "step": 0,
    "depth": 100,
    "sampled": False,
    "qrels_kind": "plain",
    "measure": "nDCG@10",
    "average": None,
    "tolerance": 1.5,
    "average_tolerance": 0.5,
}
_NEEDED = ("kind", "label", "first_stage", "passage_tokens", "published", "source")


@dataclass(frozen=True, slots=True)
class Table:
    """A benchmark with its first stages and conditions, in the file's order."""

    benchmark: Benchmark
    first_stages: dict[str, FirstStageSource]
    conditions: dict[str, Condition]


def parse_table(name: str, text: str, path: str) -> Table:
    """The table in a TOML text; FileFormatError, with the line where it is known, for what does not fit."""
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise FileFormatError(path, int(found[1]) if found else None, f"not TOML: {error}") from error

    def fail(key: str, problem: str) -> FileFormatError:
        name = rf"[^\n=]*\b{re.escape(key.rpartition('.')[2])}"
        at = re.search(rf"^[ \t]*(\[{name}\b[^\n]*\]|{name}[ \t]*=)", text, re.MULTILINE)
        return FileFormatError(path, text.count("\n", 0, at.start()) + 1 if at else None, problem)

    values = checked(
        record,
        BENCHMARK_RULES,
        fail,
        within="the file",
        needs=("title", "tasks", "first_stages", "conditions"),
    )
    benchmark = _benchmark(name, values, fail)
    stages = {
        stage: _first_stage(stage, given, benchmark, fail) for stage, given in values["first_stages"].items()
    }
    conditions = {
        one: _condition(one, given, values.get("defaults", {}), benchmark, fail)
        for one, given in values["conditions"].items()
    }
    for one in conditions.values():
        if one.first_stage not in stages:
            raise fail(one.name, f"condition {one.name}: there is no first stage {one.first_stage!r}")
    return Table(benchmark, stages, conditions)


def _benchmark(name: str, values: dict[str, Any], fail: Fail) -> Benchmark:
    tasks = {
        task: checked(given, TASK_RULES, fail, within=task, needs=["label"])
        for task, given in values["tasks"].items()
    }
    own = tuple(values.get("own_order", tasks))
    if sorted(own) != sorted(tasks):
        raise fail("own_order", "own_order must hold every task once")
    pattern = values.get("dataset")
    return Benchmark(
        name=name,
        title=values["title"],
        tasks=tuple(tasks),
        own_order=own,
        labels={task: given["label"] for task, given in tasks.items()},
        datasets={
            task: given.get("dataset", pattern and pattern.replace("{task}", task))
            for task, given in tasks.items()
        },
        footnotes=tuple(values.get("footnotes", ())),
    )


def _first_stage(name: str, given: Any, benchmark: Benchmark, fail: Fail) -> FirstStageSource:
    values = checked(given, FIRST_STAGE_RULES, fail, within=name, needs=["label"])
    runs = {}
    for task, run in values.pop("upstream", {}).items():
        if task not in benchmark.tasks:
            raise fail(task, f"{name}: there is no task {task!r}")
        runs[task] = UpstreamRun(**checked(run, RUN_RULES, fail, within=task, needs=RUN_RULES))
    return FirstStageSource(name=name, upstream=runs, **values)


def _condition(name: str, given: Any, defaults: Any, benchmark: Benchmark, fail: Fail) -> Condition:
    shared = checked(defaults, CONDITION_RULES, fail, within="defaults")
    own = checked(given, CONDITION_RULES, fail, within=name)
    values = checked(shared | own, CONDITION_RULES, fail, within=name, needs=_NEEDED)
    row = values.pop("published")
    if len(row) != len(benchmark.tasks):
        raise fail(
            name, f"{name}: published holds {len(row)} numbers, there are {len(benchmark.tasks)} tasks"
        )
    values = _DEFAULTS | {"passes": 1 if values.get("window") else 0} | values
    if (values["kind"] == "reranker") != (values["model"] is not None and values["window"] > 0):
        raise fail(name, f"{name}: a reranker, and nothing else, has a model and a window")
    if values["step"] > values["window"]:
        raise fail(name, f"{name}: step {values['step']} is larger than window {values['window']}")
    published = dict(zip(benchmark.tasks, map(float, row), strict=True))
    return Condition(name=name, benchmark=benchmark.name, published=published, **values)
