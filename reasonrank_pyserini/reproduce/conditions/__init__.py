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
    "UPSTREAM_COMMIT",
    "Benchmark",
    "Condition",
    "FirstStageSource",
    "UpstreamRun",
    "conditions",
    "find_condition",
    "first_stage",
    "upstream_url",
]

UPSTREAM_COMMIT = "06721fd6ef3766c0e00d59a87d2696a0b4b0c17a"
"""The commit of github 8421BCD/ReasonRank whose run files are listed."""


def upstream_url(run: UpstreamRun) -> str:
    """The address of the authors' run file."""
    return f"https://raw.githubusercontent.com/8421BCD/ReasonRank/{UPSTREAM_COMMIT}/{run.path}"


def conditions(benchmark: str) -> tuple[Condition, ...]:
    """Every condition of that benchmark, rerankers first; UnknownNameError for an unknown one."""
    return tuple(_table(benchmark).conditions.values())


def find_condition(benchmark: str, name: str) -> Condition:
    """The condition of that name; UnknownNameError for an unknown one."""
    known = _table(benchmark).conditions
    if name not in known:
        raise UnknownNameError(f"{benchmark} condition", name, known)
    return known[name]


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
