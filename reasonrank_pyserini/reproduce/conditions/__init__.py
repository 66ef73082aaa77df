"""Published results and how each was made, as data: one TOML file per benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from ...errors import UnknownNameError
from .condition import Benchmark, Condition, FirstStageSource, UpstreamRun
from .condition_loading import Table, parse_table

__all__ = [
    "BENCHMARKS",
    "NAMES",
    "Benchmark",
    "Condition",
    "FirstStageSource",
    "UpstreamRun",
    "conditions",
    "find_condition",
    "first_stage",
    "gain",
    "upstream_url",
]


def upstream_url(run: UpstreamRun) -> str:
    """The address of the run file."""
    return f"https://raw.githubusercontent.com/{run.repository}/{run.commit}/{run.path}"


def conditions(benchmark: str) -> tuple[Condition, ...]:
    """Every condition of that benchmark, rerankers first; UnknownNameError for an unknown one."""
    return tuple(_table(benchmark).conditions.values())


def find_condition(benchmark: str, name: str) -> Condition:
    """The condition of that name; UnknownNameError for an unknown one."""
    known = _table(benchmark).conditions
    if name not in known:
        raise UnknownNameError(f"{benchmark} condition", name, known)
    return known[name]


def gain(condition: Condition) -> float | None:
    """How far the published average is above that of the condition's first stage; None where either is unknown."""
    stage = _table(condition.benchmark).conditions.get(condition.first_stage)
    if stage is None:
        before, judged = first_stage(condition.benchmark, condition.first_stage).average, ("nDCG@10", "plain")
    else:
        before, judged = stage.average, (stage.measure, stage.qrels_kind)
    if condition is stage or before is None or condition.average is None:
        return None
    return condition.average - before if judged == (condition.measure, condition.qrels_kind) else None


def first_stage(benchmark: str, name: str) -> FirstStageSource:
    """Where that first stage's candidates come from; UnknownNameError for an unknown one."""
    known = _table(benchmark).first_stages
    if name not in known:
        raise UnknownNameError(f"{benchmark} first stage", name, known)
    return known[name]


@cache
def _table(benchmark: str) -> Table:
    file = resources.files(__name__) / f"{benchmark}.toml"
    if benchmark not in NAMES:
        raise UnknownNameError("benchmark", benchmark, NAMES)
    return parse_table(benchmark, file.read_text(encoding="utf-8"), file.name)


NAMES = ("bright", "r2med", "beir")
"""The benchmarks that have conditions."""

BENCHMARKS: Mapping[str, Benchmark] = {name: _table(name).benchmark for name in NAMES}
"""The benchmarks by name."""
