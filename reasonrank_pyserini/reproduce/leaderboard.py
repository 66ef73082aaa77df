"""A condition's results compared with the published numbers: rows, average, verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import InputError
from ..evaluation.comparison import compare
from ..evaluation.statistics import Interval, bootstrap_mean, holm, stratified_mean
from ..scoring import Scores
from .conditions import BENCHMARKS, Benchmark, Condition, conditions, first_stage

REPEATS = 3
"""Runs that a verdict on a sampled condition needs."""
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task's nDCG@10 per query (0 to 1): of the first stage, and of ours, one mapping per repeat (seed)."""

    task: str
    first_stage: Mapping[str, float] | None
    ours: tuple[Mapping[str, float], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, all scores x 100.

    `ours` is the mean over the repeats, `runs` holds them one by one; `low` and `high` are the bootstrap 95%
    interval of `ours`. `verdict`: "ok" within the tolerance; "close" within twice the tolerance, or where the
    interval covers the published number; else "off". It is "-" where nothing comparable is published, and "one
    run" or "n runs" for a sampled condition with too few. `helped`, `hurt`, `unchanged` count queries against the
    first stage; `p` is the paired t-test against it, corrected over the tasks (Holm).
    """

    task: str
    label: str
    queries: int
    first_stage: float | None
    ours: float
    published: float | None
    difference: float | None
    low: float
    high: float
    verdict: str
    runs: tuple[float, ...]
    helped: int | None = None
    hurt: int | None = None
    unchanged: int | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The rows in the paper's order, their macro average, and the footnotes; `leaderboard_tables` prints it.

    `partial`: some tasks are missing, and the published average is over the same tasks. `within_tolerance`: the
    average is "ok" and no task is "off"; None where that cannot be judged.
    """

    condition: Condition
    benchmark: Benchmark
    rows: tuple[Row, ...]
    average: Row
    partial: bool
    average_tolerance: float
    within_tolerance: bool | None
    footnotes: tuple[str, ...]


def leaderboard(
    condition: Condition, results: Sequence[TaskResult], *, seed: int = 0, candidates: str | None = None
) -> Leaderboard:
    """The leaderboard of those tasks; equal seeds give equal intervals.

    `candidates` says where the candidates came from, when not from the condition's own first stage. A condition
    whose `qrels_kind` differs from the shipped one of its name gets no verdicts: its published numbers hold for
    other judgements. Raises InputError for no results, a task given twice, a result without queries, and repeats
    or first stages over different queries; UnknownNameError for an unknown task.
    """
    benchmark = BENCHMARKS[condition.benchmark]
    by_task = {benchmark.known(one.task): one for one in results}
    if not results or len(by_task) < len(results):
        problem = "a task was given twice" if results else "none were given"
        raise InputError(f"a leaderboard needs one result per task: {problem}")
    values = {task: _over_repeats(by_task[task]) for task in benchmark.tasks if task in by_task}
    rows = [_row(condition, benchmark, by_task[task], found, seed) for task, found in values.items()]
    corrected = holm({row.task: row.p for row in rows if row.p is not None})
    whole = len(rows) == len(benchmark.tasks)
    tolerance = average_tolerance(condition, len(rows), len(benchmark.tasks))
    average = _average(condition, rows, stratified_mean(values, seed=seed), whole, tolerance)
    return Leaderboard(
        condition=condition,
        benchmark=benchmark,
        rows=tuple(replace(row, p=corrected.get(row.task)) for row in rows),
        average=average,
        partial=not whole,
        average_tolerance=tolerance,
        within_tolerance=_within(rows, average),
        footnotes=_footnotes(condition, benchmark, average, len(rows), candidates),
    )


def average_tolerance(condition: Condition, tasks: int, of: int) -> float:
    """That of an average over `tasks` of `of` tasks: the whole average's x sqrt(of / tasks), at most a task's."""
    wider = min(condition.tolerance, condition.average_tolerance * math.sqrt(of / tasks))
    return max(condition.average_tolerance, wider)


def _over_repeats(result: TaskResult) -> list[float]:
    """Every query's value x 100, averaged over the repeats."""
    if not result.ours or not result.ours[0]:
        raise InputError(f"{result.task}: no query was scored")
    first = result.ours[0]
    for other in (*result.ours[1:], *([] if result.first_stage is None else [result.first_stage])):
        if other.keys() != first.keys():
            raise InputError(
                f"{result.task}: the runs were scored over different queries: use the same qrels for all"
            )
    return [100 * sum(run[query] for run in result.ours) / len(result.ours) for query in first]


def _row(
    condition: Condition, benchmark: Benchmark, result: TaskResult, values: Sequence[float], seed: int
) -> Row:
    interval = bootstrap_mean(values, seed=seed)
    published = condition.published.get(result.task)
    row = Row(
        task=result.task,
        label=benchmark.labels[result.task],
        queries=len(values),
        first_stage=None,
        ours=interval.mean,
        published=published,
        difference=None if published is None else interval.mean - published,
        low=interval.low,
        high=interval.high,
        verdict="-",
        runs=tuple(100 * sum(run.values()) / len(run) for run in result.ours),
    )
    row = replace(row, verdict=_verdict(condition, row, condition.tolerance))
    if result.first_stage is None:
        return row
    return _against(row, dict(zip(result.ours[0], values, strict=True)), result.first_stage, seed)


def _against(row: Row, values: Mapping[str, float], baseline: Mapping[str, float], seed: int) -> Row:
    """The row compared with the first stage's values (0 to 1)."""
    ours, theirs = (
        Scores({"": sum(one.values()) / len(one)}, {query: {"": value} for query, value in one.items()})
        for one in (values, {query: 100 * value for query, value in baseline.items()})
    )
    found = compare(ours, theirs, seed=seed)[""]
    return replace(
        row,
        first_stage=found.baseline,
        helped=found.wins,
        hurt=found.losses,
        unchanged=found.ties,
        p=found.p_t,
    )


def _average(
    condition: Condition, rows: Sequence[Row], interval: Interval, whole: bool, tolerance: float
) -> Row:
    published = condition.average if whole else None
    if published is None:
        published = _mean([row.published for row in rows])
    repeats = range(min(len(row.runs) for row in rows))
    row = Row(
        task="average",
        label="Avg.",
        queries=sum(row.queries for row in rows),
        first_stage=_mean([row.first_stage for row in rows]),
        ours=interval.mean,
        published=published,
        difference=None if published is None else interval.mean - published,
        low=interval.low,
        high=interval.high,
        verdict="-",
        runs=tuple(sum(row.runs[at] for row in rows) / len(rows) for at in repeats),
        helped=_sum([row.helped for row in rows]),
        hurt=_sum([row.hurt for row in rows]),
        unchanged=_sum([row.unchanged for row in rows]),
    )
    return replace(row, verdict=_verdict(condition, row, tolerance))


def _verdict(condition: Condition, row: Row, tolerance: float) -> str:
    if row.difference is None or row.published is None or not _comparable(condition):
        return "-"
    if condition.sampled and len(row.runs) < REPEATS:
        return "one run" if len(row.runs) == 1 else f"{len(row.runs)} runs"
    if abs(row.difference) <= tolerance + _EXACT:
        return "ok"
    covered = row.low <= row.published <= row.high
    return "close" if covered or abs(row.difference) <= 2 * tolerance + _EXACT else "off"


def _within(rows: Sequence[Row], average: Row) -> bool | None:
    verdicts = {row.verdict for row in (*rows, average)}
    if not verdicts <= {"ok", "close", "off"}:
        return None
    return average.verdict == "ok" and "off" not in verdicts


def _comparable(condition: Condition) -> bool:
    """Whether the published numbers hold for the condition's judgements."""
    return condition.qrels_kind == _published_kind(condition)


def _published_kind(condition: Condition) -> str:
    shipped = {one.name: one.qrels_kind for one in conditions(condition.benchmark)}
    return shipped.get(condition.name, condition.qrels_kind)


def _footnotes(
    condition: Condition, benchmark: Benchmark, average: Row, tasks: int, candidates: str | None
) -> tuple[str, ...]:
    notes = []
    if tasks < (every := len(benchmark.tasks)):
        notes.append(f"Averages are over {tasks} of {every} tasks, also for the published numbers.")
    if not _comparable(condition):
        kinds = _published_kind(condition), condition.qrels_kind
        notes.append(
            "The published numbers hold for the {} judgements: no verdicts with the {} ones.".format(*kinds)
        )
    if condition.sampled:
        runs = "one run" if len(average.runs) == 1 else f"the mean of {len(average.runs)} runs"
        notes.append(f"The model samples: {runs}; a verdict needs {REPEATS}.")
    if condition.note:
        notes.append(f"{condition.name}: {condition.note}.")
    label = candidates or first_stage(benchmark.name, condition.first_stage).label
    return (*notes, f"Candidates: {label}, top {condition.depth}.", *benchmark.footnotes)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
