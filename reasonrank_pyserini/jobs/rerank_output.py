"""What a finished reranking leaves in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..engines import Engine, engine_details
from ..engines.journal import recorder
from ..files.rankllm_results import write_results
from ..types import Ranking
from .manifest import run_manifest
from .rerank_job import Job
from .task_runs import TaskRun


def engine_manifest_fields(engine: Engine | None) -> dict[str, Any]:
    """For `run_manifest`: what an engine states about itself, and its journal."""
    return {"details": {} if engine is None else engine_details(engine), "journal": recorder(engine)}


def write_result(job: Job, task: TaskRun, engine: Mapping[str, Any]) -> None:
    """The finished task's run, trace and manifest, and RankLLM's results for its requests."""
    if job.work.reread:
        write_results(task.folder.path / "results.jsonl", _rankings(job, task))
    manifest = run_manifest(
        job.plan.manifest_entry(), job.work, job.plan.settings, task.tally, task.seconds,
        command=job.request.command, tokenizer=job.tokenizer, **engine,
    )  # fmt: skip
    task.folder.finish(job.written(task.run), job.request.tag, manifest)


def _rankings(job: Job, task: TaskRun) -> Iterator[Ranking]:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in task.run[query.id]))
