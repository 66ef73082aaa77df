"""A run made again from its journal, without an engine."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from ..engines.journal import EngineRecord
from ..errors import EngineError, OutputError, ReplayMissError
from ..ranking.plan import Plan
from ..reranker import Reranker
from ..runfile import write_run
from ..types import Query, Step
from .progress import Progress
from .rerank_job import Job
from .rerank_output import EngineFacts, write_result
from .rerank_request import RerankCounts, RerankResult
from .run_folder import read_written_run
from .saying import Display, Say
from .task_runs import TaskRun, run_tasks


def replay(job: Job, say: Say, display: Display | None) -> RerankResult:
    """Rerank from the folder's journal and write; an existing result is compared and not changed.

    ReplayMissError when a completion was never recorded; nothing is written then, but with `on_error="keep"` its
    window keeps its order. OutputError when the journal's run differs from the existing one.
    """
    assert isinstance(job.plan, Plan)
    request = job.request
    record = job.plan.replay_record(request.folder / "journal")
    with job.folder(record.asked) as folder:
        task, missed = TaskRun(job.work, folder, traced=not folder.finished), ReplayMisses()
        progress = Progress([task], job.windows, 1.0, say=say, display=display)
        facts = _replayed(job, task, record, progress, missed)
        if missed.errors and (request.on_error == "raise" or folder.finished):
            raise missed.error(folder.path)
        if folder.finished:
            _compare(job, task, say)
        else:
            write_result(job, task, facts)
    counts = RerankCounts.of(len(task.run), task.tally)
    return RerankResult(folder.path, counts, already_there=folder.finished, replayed=True)


def _replayed(
    job: Job, task: TaskRun, record: EngineRecord, progress: Progress, missed: ReplayMisses
) -> EngineFacts:
    """Fills the task's run, past windows that are missing; the facts of the recorded engine."""
    assert isinstance(job.plan, Plan)
    journal = task.folder.journal

    def watch(query: Query, step: Step) -> None:
        missed.add(query, step)
        progress.window(query, step)

    parts = job.plan.parts(tokenizer=job.tokenizer, journal=journal, replay=record)
    with progress.watching(journal, parts.engine), Reranker.from_parts(parts, on_error="keep") as reranker:
        run_tasks([task], reranker, watch=watch)
        return EngineFacts.of(reranker.engine)


class ReplayMisses:
    """The windows that could not be replayed."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.errors: list[tuple[str, int, str]] = []

    def add(self, query: Query, step: Step) -> None:
        """Note a window when it failed."""
        self.seen[query.id] += 1
        if step.verdict.error is not None:
            self.errors.append((query.id, self.seen[query.id], step.verdict.error))

    def error(self, output: Path) -> ReplayMissError | EngineError:
        """What to raise: how many are missing, the first of them, what to type next."""
        query, window, reason = self.errors[0]
        misses = [one for one in self.errors if one[2].startswith(ReplayMissError.__name__)]
        if not misses:
            return EngineError(f"query {query}, window {window}: {reason}")
        queries = len({query for query, _, _ in misses})  # what follows a miss had another order
        query, window, _ = misses[0]
        return ReplayMissError(
            f"{output / 'journal'} lacks answers for {queries} of {len(self.seen)} queries (the first: query {query}, "
            f"window {window}): the same command without `replay` asks for them"
        )


def _compare(job: Job, task: TaskRun, say: Say) -> None:
    """Says that the run equals the existing one; OutputError when it does not."""
    there = task.folder.path / "run.trec"
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "run.trec"
        write_run(again, job.written(task.run), job.request.tag)
        if there.is_file() and again.read_bytes() == there.read_bytes():
            say(f"the journal gives {there} again, to the byte")
            return
        before = read_written_run(there) if there.is_file() else {}
        after = read_written_run(again)
    changed = [query for query in after if before.get(query) != after[query]]
    first = f", e.g. {changed[0]!r}" if changed else ""
    raise OutputError(
        f"the journal gives a run that differs from {there} for {len(changed)} of {len(after)} queries{first}: "
        "`overwrite` writes it there"
    )
