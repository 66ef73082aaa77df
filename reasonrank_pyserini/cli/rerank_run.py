"""Runs a checked job and writes its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines import Engine, engine_details
from ..inputs import write_results
from ..journal import damage_line, recorder
from ..manifest import Tally, run_manifest
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
    written = output_settings(docid_style, tag)
    with RunFolder(output, {**job.configuration(), **written}, overwrite=overwrite) as folder:
        progress = Progress(job.windows, max_failed)
        if folder.finished:
            progress.say(f"{output} already holds this result: nothing to do (--overwrite runs it again)")
            return {"queries": len(job.work.queries), "windows": job.windows, "errors": 0, "deadline": 0}
        for line in job.plan.preflight():
            progress.say(line)
        task = Task(job.work, folder)
        with (
            progress.watching(folder.journal),
            job.plan.reranker(
                tokenizer=job.tokenizer,
                journal=folder.journal,
                on_error=on_error,
                observe=observer([task], progress.add),
                deadline=deadline,
            ) as reranker,
        ):
            if (damage := damage_line(reranker.engine)) is not None:
                progress.say(damage)
            run_tasks([task], reranker, lambda _: None)
            told = told_by(reranker.engine)
        write_result(job, task, tag, docid_style, told)
    if late := task.tally.deadline:
        progress.say(
            f"{late} of {len(task.run)} queries reached the deadline and have their order so far: the same command "
            "continues them, best with a later --deadline"
        )
    return summary(len(task.run), task.tally)


def output_settings(docid_style: str, tag: str) -> dict[str, Any]:
    """What a result's folder depends on beside the job: how its run is written, where that is not the usual way."""
    return {} if (docid_style, tag) == ("hub", TAG) else {"docid_style": docid_style, "tag": tag}


def told_by(engine: Engine | None) -> dict[str, Any]:
    """For `run_manifest`: what an engine tells of itself, and its journal."""
    return {"details": {} if engine is None else engine_details(engine), "journal": recorder(engine)}


def write_result(job: Job, task: Task, tag: str, docid_style: str, told: Mapping[str, Any]) -> None:
    """The finished task's run, trace and manifest, and RankLLM's results for its requests."""
    if job.work.reread:
        write_results(task.folder.path / "results.jsonl", _rankings(job, task.run))
    manifest = run_manifest(
        job.plan.described(), job.work, job.plan.settings, task.tally, task.seconds,
        command=job.command, tokenizer=job.tokenizer, **told,
    )  # fmt: skip
    task.folder.finish(renamed(task.run, DOCID_STYLES[docid_style]), tag, manifest)


def summary(queries: int, tally: Tally) -> dict[str, Any]:
    """The counts that are printed at the end."""
    counts = {name: value for name, value in tally.as_dict().items() if name != "error_messages"}
    return {"queries": queries, **counts}


def _rankings(job: Job, run: Mapping[str, tuple[str, ...]]) -> Any:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in run[query.id]))
