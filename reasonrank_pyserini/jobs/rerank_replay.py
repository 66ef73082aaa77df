"""`reasonrank rerank --replay`: the run again from its journal, without an engine."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..engines.journal import EngineRecord, damage_line
from ..errors import EngineError, InputError, OutputError, ReplayMissError
from ..ranking.plan import Plan
from ..ranking.scheduler import OnError
from ..reranker import Reranker
from ..runfile import read_run, write_run
from ..types import Query, Step
from .progress import Progress
from .rerank_job import Job
from .rerank_run import Target, engine_manifest_fields, summary, write_result
from .task_runs import TaskRun, observer, run_tasks


def replay_job(job: Job, target: Target, *, on_error: OnError) -> dict[str, Any]:
    """Rerank from the folder's journal and write; a result that is there is compared and left alone.

    ReplayMissError when a completion was never recorded; nothing is written then, but with `on_error="keep"` its
    window keeps its order. OutputError when the journal gives another run than the one that is there.
    """
    if not isinstance(job.plan, Plan):
        raise InputError("--judge oracle records nothing: leave --replay out")
    note = job.plan.replay_record(target.path / "journal")
    with target.folder({**job.configuration(), **note.asked}) as folder:
        progress = Progress(job.windows, 1.0)
        task, missed = TaskRun(job.work, folder), ReplayMisses()
        watch: Callable[[Query, Step], None] = (
            progress.add if folder.finished else observer([task], progress.add)
        )
        told = _replay(job, task, note, progress, missed.watching(watch))
        if missed.errors and (on_error == "raise" or folder.finished):
            raise missed.error(target.path)
        if folder.finished:
            _compare(task, target, progress)
        else:
            write_result(job, task, target, told)
    return {**summary(len(task.run), progress.tally), "replayed": True}


def _replay(
    job: Job, task: TaskRun, note: EngineRecord, progress: Progress, watch: Callable[[Query, Step], None]
) -> dict[str, Any]:
    """Fills the task's run, past windows that are missing; what the recorded engine told."""
    assert isinstance(job.plan, Plan)
    journal = task.folder.journal
    with (
        progress.watching(journal),
        Reranker.from_plan(
            job.plan, tokenizer=job.tokenizer, journal=journal, on_error="keep", observe=watch, replay=note
        ) as reranker,
    ):
        if (damage := damage_line(reranker.engine)) is not None:
            progress.say(damage)
        run_tasks([task], reranker, lambda _: None)
        return engine_manifest_fields(reranker.engine)


class ReplayMisses:
    """The windows that could not be replayed."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.errors: list[tuple[str, int, str]] = []

    def watching(self, watch: Callable[[Query, Step], None]) -> Callable[[Query, Step], None]:
        """Hands every window on to `watch`, after noting it when it failed."""

        def observe(query: Query, step: Step) -> None:
            self.seen[query.id] += 1
            if step.verdict.error is not None:
                self.errors.append((query.id, self.seen[query.id], step.verdict.error))
            watch(query, step)

        return observe

    def error(self, output: Path) -> ReplayMissError | EngineError:
        """What to raise: how many are missing, the first of them, what to type next."""
        query, window, reason = self.errors[0]
        misses = [one for one in self.errors if one[2].startswith(ReplayMissError.__name__)]
        if not misses:
            return EngineError(f"query {query}, window {window}: {reason}")
        queries = len({query for query, _, _ in misses})  # what follows a miss was asked in another order
        query, window, _ = misses[0]
        return ReplayMissError(
            f"{output / 'journal'} lacks answers for {queries} of {len(self.seen)} queries (the first: query {query}, "
            f"window {window}): the same command without --replay asks for them"
        )


def _compare(task: TaskRun, target: Target, progress: Progress) -> None:
    """Says that the run is the one that is there; OutputError when it is another."""
    there = target.path / "run.trec"
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "run.trec"
        write_run(again, target.named(task.run), target.tag)
        if there.is_file() and again.read_bytes() == there.read_bytes():
            progress.say(f"the journal gives {there} again, to the byte")
            return
        before = read_run(there) if there.is_file() and there.stat().st_size else {}
        after = read_run(again) if again.stat().st_size else {}
    changed = [query for query in after if before.get(query) != after[query]]
    first = f", e.g. {changed[0]!r}" if changed else ""
    raise OutputError(
        f"the journal gives another run than {there} for {len(changed)} of {len(after)} queries{first}: "
        "--overwrite writes it there"
    )
