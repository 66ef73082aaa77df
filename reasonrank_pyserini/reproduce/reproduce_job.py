"""`run`: a published condition again, from a request to the leaderboard and its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.outputs import check_folder, make_folder
from ..jobs.progress import Progress
from ..jobs.rerank_job import fit_context, plan_notes, work_configuration
from ..jobs.rerank_request import RerankCounts
from ..jobs.rerank_run import nothing_read
from ..jobs.run_folder import read_written_run
from ..jobs.saying import Display, Say, silent
from ..jobs.trace import read_manifest
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from .conditions import Condition
from .leaderboard import Leaderboard
from .leaderboard_results import TaskRuns, collect, per_query, write_tables
from .leaderboard_run import LeaderboardRun, TaskRepeat
from .reproduce_inputs import FilledCondition, TaskInput, fill, open_task, task_names
from .reproduce_request import ReproduceRequest, ReproduceResult


def run(request: ReproduceRequest, *, say: Say = silent, display: Display | None = None) -> ReproduceResult:
    """Rerank the condition's tasks into folders below `output`, and compare the scores with the published ones.

    `output` holds a folder per task (run.trec, trace.jsonl, manifest.json), the leaderboard as leaderboard.json, .md
    and .tex, and BRIGHT's score JSON. A second call with the same request continues where the first one stopped. `say`
    and `display` as for `jobs.rerank`.
    """
    job = Reproduction.prepare(request)
    for note in job.notes():
        say(note)
    counts = job.rerank(say, display)
    why = nothing_read(counts) if request.max_failed < 1 else ""
    if why:
        say(why)
    return ReproduceResult(job.table(), counts.errors, job.queries, job.folder, unreadable=bool(why))


@dataclass(frozen=True)
class Reproduction:
    """A checked reproduction; `plan` is None where the first stage itself is the condition."""

    request: ReproduceRequest
    filled: FilledCondition
    plan: Plan | OraclePlan | None
    tasks: tuple[TaskInput, ...]
    tokenizer: Any = None

    @classmethod
    def prepare(cls, request: ReproduceRequest, *, estimate_only: bool = False) -> Reproduction:
        """Everything that can be checked before a model is loaded; InputError for whatever cannot work.

        With `estimate_only` no texts are read, and no folder is needed.
        """
        request.check()
        if not estimate_only:
            check_folder(_output(request))
        filled = fill(request)
        asks_model = request.oracle is None and filled.model is not None
        texts = asks_model and not estimate_only
        names = task_names(filled.condition, request.tasks)
        tasks = tuple(open_task(name, filled, request, texts=texts) for name in names)
        if request.oracle is not None:
            qrels = {task.name: task.dataset.qrels(filled.condition.qrels_kind) for task in tasks}
            return cls(request, filled, OraclePlan.make(qrels, request.oracle, filled.settings), tasks)
        if filled.model is None:
            return cls(request, filled, None, tasks)
        plan = Plan.make(filled.model, dataset=filled.condition.benchmark)
        if not texts:
            return cls(request, filled, plan, tasks)
        plan, tokenizer = fit_context(plan, [task.work for task in tasks])
        return cls(request, filled, plan, tasks, tokenizer)

    @property
    def queries(self) -> int:
        """Queries of all tasks together."""
        return sum(len(task.work.queries) for task in self.tasks)

    @cached_property
    def folder(self) -> Path:
        """Where the results go, made now."""
        folder = _output(self.request)
        make_folder(folder)
        return folder

    def notes(self) -> list[str]:
        """What the user should know before it starts, a line each."""
        found = [f"{task.name}: {note}" for task in self.tasks for note in task.work.notes]
        found += [f"{task.name}: first stage from {task.first.origin}" for task in self.tasks]
        found += plan_notes(self.plan) if self.plan is not None else []
        if self.filled.differences:
            found.append(f"not as published: {self.filled.differences}")
        return found

    def rerank(self, say: Say = silent, display: Display | None = None) -> RerankCounts:
        """Rerank what is not done yet; the counts of all tasks and repeats together."""
        if self.plan is None:
            return RerankCounts(0, 0)
        request = self.request
        with LeaderboardRun(self.plan, self.parts, overwrite=request.overwrite) as queue:
            if not queue.tasks:
                say(f"{self.folder} already holds the result of every task: nothing to rerank")
            else:
                progress = Progress(queue.tasks, queue.windows, request.max_failed, say=say, display=display)
                queue.run(
                    self.folder / "journal",
                    progress,
                    tokenizer=self.tokenizer,
                    on_error=request.on_error,
                    command=request.command,
                )
        return RerankCounts.recorded([read_manifest(part.folder) for part in self.parts])

    def table(self) -> Leaderboard:
        """The leaderboard of what is done, also written to the folder."""
        outcomes = [self._task_runs(task) for task in self.tasks]
        stages = {task.name: task.first.origin for task in self.tasks}
        board = collect(self.condition_as_run(), outcomes, candidates=self._candidates())
        make_folder(self.folder / "scores")
        files = {task.name: str(path) for task in self.tasks if (path := task.first.file(self.folder))}
        write_tables(self.folder, board, outcomes, {"first_stage_runs": stages, "first_stage_files": files})
        return board

    def condition_as_run(self) -> Condition:
        """The condition with the model and windows that were used, and a note on what differs from the publication."""
        condition, plan, noise = self.filled.condition, self.plan, self.request.oracle
        if plan is not None:
            used = plan.settings
            condition = replace(condition, window=used.window, step=used.step, depth=used.depth)
        if noise is not None:
            label = f"Judge oracle:{noise:g}" if noise else "Judge oracle"
            condition = replace(condition, label=label, sampled=noise > 0, note="")
        elif changed := self.filled.differences:
            note = "; ".join(filter(None, [condition.note, f"not as published: {changed}"]))
            label = self.filled.changed.get("model", condition.label)
            condition = replace(condition, label=label, note=note)
        if noise is not None or self.request.limit:
            condition = replace(condition, published={}, average=None)
        return condition

    def per_query(self) -> dict[str, list[float]]:
        """Task -> the measure of every query, averaged over the repeats."""
        measure = self.filled.condition.measure
        return {task.name: per_query(measure, self._task_runs(task)) for task in self.tasks}

    @cached_property
    def parts(self) -> tuple[TaskRepeat, ...]:
        """Every repeat of every task with its folder and configuration; none for a first stage alone."""
        return () if self.plan is None else tuple(self._parts(self.plan))

    def _parts(self, plan: Plan | OraclePlan) -> Iterator[TaskRepeat]:
        for repeat in range(self.request.repeat):
            folder = self.folder if repeat == 0 else self.folder / f"repeat-{repeat + 1}"
            for task in self.tasks:
                made = work_configuration(plan, task.work)
                made["settings"] = {**made["settings"], "seed": made["settings"]["seed"] + repeat}
                yield TaskRepeat(task.name, task.work, folder / task.name, made, repeat)

    def _task_runs(self, task: TaskInput) -> TaskRuns:
        qrels = task.dataset.qrels(self.filled.condition.qrels_kind)
        if self.request.limit:
            qrels = {query.id: qrels.get(query.id, {}) for query in task.work.queries}
        first = task.candidates()
        if self.plan is None:
            return TaskRuns(task.name, qrels, None, [first])
        parts = [part for part in self.parts if part.task == task.name]
        return TaskRuns(
            task.name, qrels, first, [read_written_run(part.folder / "run.trec") for part in parts]
        )

    def _candidates(self) -> str | None:
        """Where the candidates came from; None for the condition's own first stage."""
        runs = self.request.runs
        if all(task.first.published for task in self.tasks):
            return None
        if runs is None:
            return self.tasks[0].first.origin
        return f"runs in {runs}" if isinstance(runs, str | Path) else "runs given for each task"


def _output(request: ReproduceRequest) -> Path:
    if request.output is None:
        raise InputError("give `output` DIR, the folder for the tasks' runs and the table")
    return Path(request.output)
