"""Reranks into a folder: the run itself, or its replay from the journal."""

from __future__ import annotations

from ..reranker import Reranker
from .progress import Progress
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
    if request.replay:
        return replay(job, say, display)
    return _run(job, say, display)


def _run(job: Job, say: Say, display: Display | None) -> RerankResult:
    request = job.request
    with job.folder() as folder:
        if folder.finished:
            say(f"{folder.path} already holds this result: nothing to do (`overwrite` runs it again)")
            return RerankResult(folder.path, _recorded_counts(job), already_there=True)
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


def _recorded_counts(job: Job) -> RerankCounts:
    """The counts of a finished folder, as its manifest has them."""
    manifest = read_manifest(job.request.folder)
    names = ("statuses", "prompt_tokens", "completion_tokens")
    recorded = {name: manifest[name] for name in names if name in manifest}
    return RerankCounts(len(job.work.queries), job.windows, **recorded, notes=manifest.get("counts") or {})
