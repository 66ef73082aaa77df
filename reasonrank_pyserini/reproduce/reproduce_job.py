"""One `reasonrank reproduce`: from flags to tasks, from finished tasks to the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from ..files.outputs import make_folder
from ..jobs.flag_adapters import make_plan, oracle_noise, setting_flags
from ..jobs.modelled_cost import modelled_lines
from ..jobs.progress import Progress
from ..jobs.rerank_job import fit_context, plan_notes, work_configuration
from ..jobs.run_folder import RunFolder
from ..jobs.task_runs import windows
from ..jobs.trace import read_manifest
from ..models.cost import WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from ..runfile import read_run
from ..types import ScoredDocument
from . import (
    LeaderboardRun,
    Shard,
    TaskRepeat,
    TaskRuns,
    collect,
    merge_shards,
    parse_shard,
    per_query,
    shard_folder,
    write_tables,
)
from .conditions import Condition
from .leaderboard import Leaderboard
from .reproduce_inputs import TaskInput, asked_condition, filled, open_task, task_names


@dataclass(frozen=True)
class Reproduction:
    """A checked reproduction; `plan` is None where the first stage itself is the condition."""

    condition: Condition
    plan: Plan | OraclePlan | None
    tasks: tuple[TaskInput, ...]
    tokenizer: Any
    flags: Mapping[str, Any]
    command: tuple[str, ...]

    @classmethod
    def prepare(cls, benchmark: str, flags: Mapping[str, Any], command: Sequence[str]) -> Reproduction:
        """Everything that can be checked before a model is loaded; InputError for whatever cannot work."""
        condition = asked_condition(benchmark, flags)
        flags = {**flags, **filled(condition, flags)}
        noise = oracle_noise(flags["judge"])
        light = bool(flags["estimate"] or flags["merge"] or noise is not None or condition.model is None)
        depth = flags["depth"] or condition.depth
        tasks = tuple(
            open_task(name, condition, flags, depth, light) for name in task_names(condition, flags["tasks"])
        )
        plan: Plan | OraclePlan | None = None
        tokenizer = None
        if noise is not None:
            qrels = {task.name: task.dataset.qrels(condition.qrels_kind) for task in tasks}
            plan = OraclePlan.make(qrels, noise, setting_flags(flags))
        elif condition.model is not None:
            plan = make_plan(flags, None)
            if not light:
                plan, tokenizer = fit_context(plan, [task.work for task in tasks])
        return cls(condition, plan, tasks, tokenizer, flags, tuple(command))

    @property
    def queries(self) -> int:
        return sum(len(task.work.queries) for task in self.tasks)

    @cached_property
    def output(self) -> Path:
        folder = shard_folder(self.flags["output"], self.shard)
        make_folder(folder)
        return folder

    @property
    def shard(self) -> Shard:
        return parse_shard(self.flags["shard"])

    def notes(self) -> list[str]:
        """What the user should know before it starts, a line each."""
        found = [f"{task.name}: {note}" for task in self.tasks for note in task.work.notes]
        found += [f"{task.name}: first stage from {task.first.origin}" for task in self.tasks]
        found += plan_notes(self.plan) if self.plan is not None else []
        if self.changed:
            found.append(f"not as published: {self.changed}")
        return found

    def estimate(self, gpu: str, gpus: int, price: float | None) -> list[str]:
        """Windows, tokens, time and money; all but the windows are modelled."""
        if self.plan is None:
            return ["windows            0 (the first stage alone)"]
        count = self.flags["repeat"] * sum(windows(task.work, self.plan.settings) for task in self.tasks)
        lines = [f"tasks              {len(self.tasks)}", f"queries            {self.queries}",
                 f"windows            {count:,}"]  # fmt: skip
        if not isinstance(self.plan, Plan):
            return lines
        settings = self.plan.settings
        prompt = WINDOW_PROMPT_TOKENS * settings.window * settings.passage_tokens / (20 * 512)
        new = min(WINDOW_NEW_TOKENS, settings.sampling.max_tokens)
        lines += [
            f"prompt tokens      {count * prompt:,.0f} (modelled, {prompt:,.0f} a window as on BRIGHT economics)",
            f"new tokens         {count * new:,} (modelled, {new} a window)",
        ]
        return lines + modelled_lines(self.plan, count, prompt, new, gpu, gpus, price)

    def run(self) -> int:
        """Rerank what is not done yet; the number of failed windows that were kept."""
        if self.plan is None:
            return 0
        journal = self.flags["output"] / "journal"
        with LeaderboardRun(self.plan, list(self._parts()), overwrite=self.flags["overwrite"]) as queue:
            progress = Progress(queue.tasks, queue.windows, self.flags["max_failed"], say=_say)
            if not queue.tasks:
                progress.say(f"{self.output} already holds every task: nothing to rerank")
            else:
                with progress.watching(journal):
                    queue.run(
                        journal, tokenizer=self.tokenizer, on_error=self.flags["on_error"],
                        watch=progress.window, say=progress.say, command=self.command,
                    )  # fmt: skip
        return sum(read_manifest(part.folder)["errors"] for part in self._parts())

    def merge(self) -> int:
        """Unite the shards of every task; the number of failed windows in them."""
        if self.plan is None:
            raise InputError(f"{self.condition.name} is a first stage: there are no shards of it")
        errors = 0
        for part in self._parts():
            with RunFolder(part.folder, part.configuration, overwrite=self.flags["overwrite"]) as folder:
                where = self.flags["output"]
                name = str(part.folder.relative_to(where))
                if not folder.finished and not merge_shards(where, name, part.work.queries, folder):
                    raise InputError(
                        f"{where} holds no finished shard of {name}: run --shard 1/N to N/N first"
                    )
            errors += read_manifest(part.folder)["errors"]
        return errors

    def table(self) -> Leaderboard:
        """The leaderboard of what is done, written to the output folder as well."""
        outcomes = [self._outcome(task) for task in self.tasks]
        stages = {task.name: task.first.origin for task in self.tasks}
        own = all(task.first.published for task in self.tasks)
        runs = self.flags["runs"]
        candidates = None if own else f"runs in {runs}" if runs else self.tasks[0].first.origin
        board = collect(self.shown(), outcomes, candidates=candidates)
        make_folder(self.output / "scores")
        write_tables(self.output, board, outcomes, {"first_stage_runs": stages})
        return board

    def shown(self) -> Condition:
        """The condition as it was really run: its model, its window, what differs from the publication."""
        condition, plan = self.condition, self.plan
        if plan is not None:
            used = plan.settings
            condition = replace(condition, window=used.window, step=used.step, depth=used.depth)
        if isinstance(plan, OraclePlan):
            sampled = plan.noise > 0
            condition = replace(condition, label=f"Judge {self.flags['judge']}", sampled=sampled, note="")
        elif changed := self.changed:
            note = "; ".join(filter(None, [condition.note, f"not as published: {changed}"]))
            label = self.flags["changed"].get("model", condition.label)
            condition = replace(condition, label=label, note=note)
        if isinstance(plan, OraclePlan) or self.flags["limit"]:
            condition = replace(condition, published={}, average=None)
        return condition

    @property
    def changed(self) -> str:
        """What the user asked for otherwise than published, in words; empty when nothing."""
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.flags["changed"].items())

    def per_query(self) -> dict[str, list[float]]:
        """Task -> the measure of every query, averaged over the repeats."""
        return {task.name: per_query(self.condition.measure, self._outcome(task)) for task in self.tasks}

    def _parts(self) -> Iterator[TaskRepeat]:
        assert self.plan is not None
        for repeat in range(self.flags["repeat"]):
            folder = self.output if repeat == 0 else self.output / f"repeat-{repeat + 1}"
            for task in self.tasks:
                made = work_configuration(self.plan, task.work)
                made["settings"] = {**made["settings"], "seed": made["settings"]["seed"] + repeat}
                yield TaskRepeat(task.name, task.work, folder / task.name, made, repeat)

    def _outcome(self, task: TaskInput) -> TaskRuns:
        qrels = task.dataset.qrels(self.condition.qrels_kind)
        if self.flags["limit"]:
            qrels = {query.id: qrels.get(query.id, {}) for query in task.work.queries}
        first = task.candidates()
        if self.plan is None:
            return TaskRuns(task.name, qrels, None, [first])
        parts = [part for part in self._parts() if part.task == task.name]
        return TaskRuns(task.name, qrels, first, [_finished_run(part.folder) for part in parts])


def _say(line: str) -> None:
    click.echo(f"reasonrank: {line}", err=True)


def _finished_run(folder: Path) -> Mapping[str, Sequence[ScoredDocument]]:
    """The run of a finished task; one whose queries all had no candidates is an empty file."""
    path = folder / "run.trec"
    return read_run(path) if path.stat().st_size else {}
