"""Runs a checked job and writes its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.docids import DOCID_STYLES
from ..engines import Engine, engine_details
from ..engines.journal import damage_line, recorder
from ..files.rankllm_results import write_results
from ..ranking.scheduler import OnError
from ..reranker import Reranker
from ..types import Ranking
from .manifest import WindowCounts, run_manifest
from .progress import Progress
from .rerank_job import Job
from .run_folder import RunFolder
from .task_runs import TAG, TaskRun, observer, renamed, run_tasks


@dataclass(frozen=True, slots=True)
class Target:
    """The folder that a result goes to, and how its run is written there."""

    path: Path
    overwrite: bool = False
    tag: str = TAG
    docid_style: str = "hub"

    def folder(self, configuration: Mapping[str, Any]) -> RunFolder:
        """The folder for a result of that configuration."""
        usual = (self.docid_style, self.tag) == ("hub", TAG)
        written = {} if usual else {"docid_style": self.docid_style, "tag": self.tag}
        return RunFolder(self.path, {**configuration, **written}, overwrite=self.overwrite)

    def named(self, run: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """A run with its docids as they are written."""
        return renamed(run, DOCID_STYLES[self.docid_style])


def run_job(
    job: Job, target: Target, *, on_error: OnError, max_failed: float, deadline: float | None = None
) -> dict[str, Any]:
    """Rerank and write; returns the counts of the run. A folder that already holds this result is left alone."""
    with target.folder(job.configuration()) as folder:
        progress = Progress(job.windows, max_failed)
        if folder.finished:
            progress.say(
                f"{target.path} already holds this result: nothing to do (--overwrite runs it again)"
            )
            return {"queries": len(job.work.queries), "windows": job.windows, "errors": 0, "deadline": 0}
        for line in job.plan.preflight():
            progress.say(line)
        task = TaskRun(job.work, folder)
        with (
            progress.watching(folder.journal),
            Reranker.from_plan(
                job.plan,
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
            told = engine_manifest_fields(reranker.engine)
        write_result(job, task, target, told)
    if late := task.tally.deadline:
        progress.say(
            f"{late} of {len(task.run)} queries reached the deadline and have their order so far: the same command "
            "continues them, best with a later --deadline"
        )
    return summary(len(task.run), task.tally)


def engine_manifest_fields(engine: Engine | None) -> dict[str, Any]:
    """For `run_manifest`: what an engine tells of itself, and its journal."""
    return {"details": {} if engine is None else engine_details(engine), "journal": recorder(engine)}


def write_result(job: Job, task: TaskRun, target: Target, told: Mapping[str, Any]) -> None:
    """The finished task's run, trace and manifest, and RankLLM's results for its requests."""
    if job.work.reread:
        write_results(task.folder.path / "results.jsonl", _rankings(job, task.run))
    manifest = run_manifest(
        job.plan.manifest_entry(), job.work, job.plan.settings, task.tally, task.seconds,
        command=job.command, tokenizer=job.tokenizer, **told,
    )  # fmt: skip
    task.folder.finish(target.named(task.run), target.tag, manifest)


def summary(queries: int, tally: WindowCounts) -> dict[str, Any]:
    """The counts that are printed at the end."""
    counts = {name: value for name, value in tally.as_dict().items() if name != "error_messages"}
    return {"queries": queries, **counts}


def _rankings(job: Job, run: Mapping[str, tuple[str, ...]]) -> Any:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in run[query.id]))
