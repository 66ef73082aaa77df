"""All tasks of a condition through one engine and one queue, each into its own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..jobs.manifest import environment
from ..jobs.progress import Progress
from ..jobs.rerank_input import RerankInput
from ..jobs.rerank_output import EngineFacts, run_manifest
from ..jobs.run_folder import RunFolder
from ..jobs.task_runs import TAG, TaskRun, run_tasks, windows
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from ..ranking.scheduler import OnError
from ..reranker import Reranker


@dataclass(frozen=True, slots=True)
class TaskRepeat:
    """One repeat of one task: its queries with candidates, and the folder for its result."""

    task: str
    work: RerankInput
    folder: Path
    configuration: Mapping[str, Any]
    repeat: int = 0


class LeaderboardRun:
    """The parts that are not finished yet, their folders held while the block runs; InputError as RunFolder's."""

    def __init__(
        self, plan: Plan | OraclePlan, parts: Sequence[TaskRepeat], *, overwrite: bool = False
    ) -> None:
        self.plan, self.parts, self.overwrite = plan, parts, overwrite
        self.tasks: list[TaskRun] = []
        self._stack = ExitStack()

    def __enter__(self) -> LeaderboardRun:
        with ExitStack() as stack:
            for part in self.parts:
                held = RunFolder(part.folder, part.configuration, overwrite=self.overwrite)
                folder = stack.enter_context(held)
                if not folder.finished:
                    self.tasks.append(TaskRun(part.work, folder, part.task, part.repeat))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def windows(self) -> int:
        """Windows still to judge, those in the journal included."""
        return sum(windows(task.work, self.plan.settings) for task in self.tasks)

    def run(
        self,
        journal: Path,
        progress: Progress,
        *,
        tokenizer: Any,
        on_error: OnError,
        command: Sequence[str],
    ) -> None:
        """Rerank what is left; every task's folder is whole as soon as its last query is."""
        for line in self.plan.preflight():
            progress.say(line)
        repeats = 1 + max(task.repeat for task in self.tasks)
        parts = self.plan.parts(tokenizer=tokenizer, journal=journal, repeats=repeats)
        with (
            progress.watching(journal, parts.engine),
            Reranker.from_parts(parts, on_error=on_error) as reranker,
        ):
            machine = environment()  # once: it runs programs, and no query would start meanwhile

            def done(task: TaskRun) -> None:
                facts = EngineFacts.of(reranker.engine)
                manifest = run_manifest(
                    task, self.plan, facts, command=command, tokenizer=tokenizer, machine=machine
                )
                task.folder.finish(task.run, TAG, {**manifest, "task": task.name, "repeat": task.repeat})

            run_tasks(self.tasks, reranker, done, progress.window)
