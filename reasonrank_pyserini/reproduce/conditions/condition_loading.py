"""Reads a benchmark's TOML file into records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...files.toml_tables import TomlFile, parse_toml
from .condition import Benchmark, Condition, FirstStageSource, UpstreamRun
from .condition_rules import BENCHMARK_RULES, CONDITION_RULES, FIRST_STAGE_RULES, RUN_RULES, TASK_RULES

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
    """The table in a TOML text; FileFormatError, with the line where it is known, for one that does not fit."""
    file = parse_toml(text, path)
    values = file.check(file.values, BENCHMARK_RULES, needs=("title", "tasks", "first_stages", "conditions"))
    benchmark = _benchmark(name, values, file)
    stages = {
        stage: _first_stage(stage, given, benchmark, file) for stage, given in values["first_stages"].items()
    }
    conditions = {
        one: _condition(one, given, values.get("defaults", {}), benchmark, file)
        for one, given in values["conditions"].items()
    }
    for one in conditions.values():
        if one.first_stage not in stages:
            problem = f"condition {one.name}: unknown first stage {one.first_stage!r}"
            raise file.error("first_stage", problem, one.name)
    return Table(benchmark, stages, conditions)


def _benchmark(name: str, values: dict[str, Any], file: TomlFile) -> Benchmark:
    tasks = {
        task: file.check(given, TASK_RULES, within=task, needs=["label"])
        for task, given in values["tasks"].items()
    }
    own = tuple(values.get("own_order", tasks))
    if sorted(own) != sorted(tasks):
        raise file.error("own_order", "own_order must hold every task once")
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


def _first_stage(name: str, given: Any, benchmark: Benchmark, file: TomlFile) -> FirstStageSource:
    values = file.check(given, FIRST_STAGE_RULES, within=name, needs=["label"])
    if "upstream" in values:
        file.check(given, FIRST_STAGE_RULES, within=name, needs=["repository", "commit"])
    if "average" in values:
        file.check(given, FIRST_STAGE_RULES, within=name, needs=["average_source"])
    place = {key: values.pop(key, "") for key in ("repository", "commit")}
    runs = {}
    for task, run in values.pop("upstream", {}).items():
        if task not in benchmark.tasks:
            raise file.error(task, f"{name}: unknown task {task!r}", name)
        checked = file.check(run, RUN_RULES, within=task, needs=["path"])
        if not checked.keys() & {"sha256", "git_blob"}:
            raise file.error(task, f"{name}: the run of {task} needs sha256 or git_blob", name)
        runs[task] = UpstreamRun(**place, **checked)
    return FirstStageSource(name=name, upstream=runs, **values)


def _condition(name: str, given: Any, defaults: Any, benchmark: Benchmark, file: TomlFile) -> Condition:
    shared = file.check(defaults, CONDITION_RULES, within="defaults")
    own = file.check(given, CONDITION_RULES, within=name)
    values = file.check(shared | own, CONDITION_RULES, within=name, needs=_NEEDED)
    row = values.pop("published")
    if len(row) != len(benchmark.tasks):
        raise file.error(
            name, f"{name}: published holds {len(row)} numbers, there are {len(benchmark.tasks)} tasks"
        )
    values = _DEFAULTS | {"passes": 1 if values.get("window") else 0} | values
    reranker = values["kind"] == "reranker"
    if reranker != (values["model"] is not None) or (values["window"] and not reranker):
        raise file.error(name, f"{name}: a reranker, and nothing else, has a model, and may have a window")
    if values["step"] > values["window"]:
        raise file.error(name, f"{name}: step {values['step']} is larger than window {values['window']}")
    published = dict(zip(benchmark.tasks, map(float, row), strict=True))
    return Condition(name=name, benchmark=benchmark.name, published=published, **values)
