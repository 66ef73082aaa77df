"""Runs a checked job and writes its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines import engine_details
from ..inputs import write_results
from ..manifest import run_manifest
from ..runfolder import RunFolder
from ..scheduler import OnError
from ..tasks import TAG, Task, observer, renamed, run_tasks
from ..types import Ranking
from .outputs import DOCID_STYLES
from .progress import Progress
from .rerank_job import Job


def run_job(
    job: Job,
    output: Path,
    *,
    on_error: OnError,
    max_failed: float,
    overwrite: bool,
    tag: str,
    docid_style: str = "hub",
    deadline: float | None = None,
) -> dict[str, Any]:
    """Rerank and write; returns the counts of the run. A folder that already holds this result is left alone."""
    written = {} if (docid_style, tag) == ("hub", TAG) else {"docid_style": docid_style, "tag": tag}
    with RunFolder(output, {**job.configuration(), **written}, overwrite=overwrite) as folder:
        progress = Progress(job.windows, max_failed)
        if folder.finished:
            progress.say(f"{output} already holds this result: nothing to do (--overwrite runs it again)")
            return {"queries": len(job.work.queries), "windows": job.windows, "errors": 0, "deadline": 0}
        for line in job.plan.preflight():
            progress.say(line)
        task = Task(job.work, folder)
        details = _rerank(job, task, progress, on_error, deadline)
        if job.work.reread:
            write_results(output / "results.jsonl", _rankings(job, task.run))
        manifest = run_manifest(
            job.plan.described(), job.work, job.plan.settings, task.tally, task.seconds,
            command=job.command, details=details, tokenizer=job.tokenizer,
        )  # fmt: skip
        folder.finish(renamed(task.run, DOCID_STYLES[docid_style]), tag, manifest)
    counts = task.tally.as_dict()
    if late := counts["deadline"]:
        progress.say(
            f"{late} of {len(task.run)} queries reached the deadline and have their order so far: the same command "
            "continues them, best with a later --deadline"
        )
    return {
        "queries": len(task.run),
        **{name: value for name, value in counts.items() if name != "error_messages"},
    }


def _rerank(
    job: Job, task: Task, progress: Progress, on_error: OnError, deadline: float | None
) -> dict[str, Any]:
    """Fills the task's run; what the engine tells of itself."""
    with (
        progress.watching(task.folder.journal),
        job.plan.reranker(
            tokenizer=job.tokenizer,
            journal=task.folder.journal,
            on_error=on_error,
            observe=observer([task], progress.add),
            deadline=deadline,
        ) as reranker,
    ):
        run_tasks([task], reranker, lambda _: None)
        return engine_details(reranker.engine) if reranker.engine is not None else {}


def _rankings(job: Job, run: Mapping[str, tuple[str, ...]]) -> Any:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in run[query.id]))
