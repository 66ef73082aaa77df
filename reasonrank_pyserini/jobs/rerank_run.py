"""Reranks into a folder: the run itself, or its replay from the journal."""

from __future__ import annotations

from dataclasses import replace

from ..reranker import Reranker
from .progress import Progress, likely_causes
from .rerank_job import Job
from .rerank_output import EngineFacts, write_result
from .rerank_replay import replay
from .rerank_request import RerankCounts, RerankRequest, RerankResult
from .saying import Display, Say, silent
from .task_runs import TaskRun, run_tasks
from .trace import read_manifest


def rerank(request: RerankRequest, *, say: Say = silent, display: Display | None = None) -> RerankResult:
    """Rerank into the request's folder; a result that is already there is kept.

    The same request again continues where the last call stopped, however that ended: what was answered is in the
    folder's journal. `say` takes what the user should know, a line each; without a `display` also where the run
    stands, every 30 seconds. Raises InputError before anything is loaded for what cannot work, TooManyFailuresError,
    and with `on_error="raise"` the EngineError of the first window that failed.
    """
    request.check(into_folder=True)
    job = Job.prepare(request, say)
    result = replay(job, say, display) if request.replay else _run(job, say, display)
    if request.max_failed < 1 and (why := nothing_read(result.counts)):
        say(why)
        return replace(result, unreadable=True)
    return result


def nothing_read(counts: RerankCounts) -> str:
    """What to say where none of the answers could be read; empty where some could, or there were none."""
    if not counts.nothing_read:
        return ""
    failed = sum(counts.statuses.values())
    causes = likely_causes(failed, counts.notes.get("truncated", 0), counts.error_messages)
    which = "the only answer could not" if failed == 1 else f"none of the {failed} answers could"
    return f"{which} be read: every window kept its order (`max_failed` 1 accepts that). {causes}"


def _run(job: Job, say: Say, display: Display | None) -> RerankResult:
    request = job.request
    with job.folder() as folder:
        if folder.finished:
            say(f"{folder.path} already holds this result: nothing to do (`overwrite` runs it again)")
            counts = RerankCounts.recorded([read_manifest(folder.path)])
            return RerankResult(folder.path, counts, already_there=True)
        for line in job.plan.preflight():
            say(line)
        task = TaskRun(job.work, folder)
        progress = Progress([task], job.windows, request.max_failed, say=say, display=display)
        parts = job.plan.parts(tokenizer=job.tokenizer, journal=folder.journal)
        with (
            progress.watching(folder.journal, parts.engine),
            Reranker.from_parts(parts, on_error=request.on_error, deadline=request.deadline) as reranker,
        ):
            run_tasks([task], reranker, watch=progress.window)
            facts = EngineFacts.of(reranker.engine)
        write_result(job, task, facts)
    if late := task.tally.deadline:
        say(
            f"{late} of {len(task.run)} queries reached the deadline and have their order so far: the same command "
            "continues them, best with a later `deadline`"
        )
    return RerankResult(folder.path, RerankCounts.of(len(task.run), task.tally))
