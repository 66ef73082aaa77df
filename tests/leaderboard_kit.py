"""Made-up results of tasks, for leaderboards."""

from __future__ import annotations

from reasonrank_pyserini.reproduce.conditions import BENCHMARKS, find_condition
from reasonrank_pyserini.reproduce.leaderboard import TaskResult

SEVEN = find_condition("bright", "reasonrank-7b")
TASKS = BENCHMARKS["bright"].tasks


def queries(mean: float, spread: float = 0.0, count: int = 4) -> dict[str, float]:
    """Values per query with that mean (x 100)."""
    return {f"q{at}": (mean + spread * (-1) ** at) / 100 for at in range(count)}


def result(task: str, *means: float, first: float | None = None, spread: float = 0.0) -> TaskResult:
    """A task with a run for each mean, and a first stage if its mean is given."""
    stage = None if first is None else queries(first)
    return TaskResult(task, stage, tuple(queries(mean, spread) for mean in means))
