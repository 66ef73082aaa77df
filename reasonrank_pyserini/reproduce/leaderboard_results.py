"""From finished runs to the leaderboard and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import atomic_open
from ..files.score_json import write_score_json
from ..scoring import Qrels, Run, score
from ..types import ScoredDocument
from .conditions import Condition
from .leaderboard import Leaderboard, TaskResult, leaderboard
from .leaderboard_tables import latex_rows, leaderboard_record, markdown_table


@dataclass(frozen=True, slots=True)
class TaskRuns:
    """One task: its judgements, its first-stage run, and the finished run of every repeat."""

    name: str
    qrels: Qrels
    first_stage: Run | None
    runs: Sequence[Mapping[str, Sequence[ScoredDocument]]]


def collect(
    condition: Condition, tasks: Sequence[TaskRuns], *, seed: int = 0, candidates: str | None = None
) -> Leaderboard:
    """The leaderboard of those tasks under the condition's measure; `candidates` as for `leaderboard`."""
    results = [_result(condition.measure, one) for one in tasks]
    return leaderboard(condition, results, seed=seed, candidates=candidates)


def _result(measure: str, task: TaskRuns) -> TaskResult:
    first = task.first_stage
    return TaskResult(
        task.name,
        None if first is None else _per_query(task.qrels, first, measure),
        tuple(_per_query(task.qrels, run, measure) for run in task.runs),
    )


def per_query(measure: str, task: TaskRuns) -> list[float]:
    """The measure of every judged query, averaged over the repeats."""
    found = [_per_query(task.qrels, run, measure) for run in task.runs]
    return [sum(one[query] for one in found) / len(found) for query in task.qrels]


def _per_query(qrels: Qrels, run: Run, measure: str) -> Mapping[str, float]:
    scores = score(qrels, run, [measure])
    (name,) = scores.means
    return {query: values[name] for query, values in scores.per_query.items()}


def write_tables(
    folder: Path, board: Leaderboard, tasks: Sequence[TaskRuns], extra: Mapping[str, Any]
) -> None:
    """Write leaderboard.json (with `extra`), .md and .tex, and BRIGHT's score JSON of every task's first repeat."""
    with atomic_open(folder / "leaderboard.json") as stream:
        json.dump({**leaderboard_record(board), **extra}, stream, indent=1)
        stream.write("\n")
    for name, text in {"leaderboard.md": markdown_table(board), "leaderboard.tex": latex_rows(board)}.items():
        with atomic_open(folder / name) as stream:
            stream.write(text.rstrip("\n") + "\n")
    (folder / "scores").mkdir(exist_ok=True)
    for task in tasks:
        if task.runs:
            write_score_json(folder / "scores" / f"{task.name}.json", task.runs[0])
