"""Runs a checked job and writes its folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..engines import engine_details
from ..inputs import write_results
from ..manifest import environment
from ..models import chat_template_hash
from ..runfolder import RunFolder
from ..scheduler import OnError
from ..types import Query, Ranking, Step
from .progress import Progress
from .rerank_job import Job


def run_job(
    job: Job, output: Path, *, on_error: OnError, max_failed: float, overwrite: bool, tag: str
) -> dict[str, Any]:
    """Rerank and write; returns the counts of the run. A folder that already holds this result is left alone."""
    with RunFolder(output, job.configuration(), overwrite=overwrite) as folder:
        progress = Progress(job.windows, max_failed)
        if folder.finished:
            progress.say(f"{output} already holds this result: nothing to do (--overwrite runs it again)")
            return {"queries": len(job.work.queries), "windows": job.windows, "errors": 0}
        for line in job.plan.preflight():
            progress.say(line)
        begin = time.monotonic()
        run, details = _rerank(job, folder, progress, on_error)
        seconds = time.monotonic() - begin
        if job.work.reread:
            write_results(output / "results.jsonl", _rankings(job, run))
        folder.finish(run, tag, manifest(job, progress, seconds, details))
    counts = progress.tally.as_dict()
    return {
        "queries": len(run),
        **{name: value for name, value in counts.items() if name != "error_messages"},
    }


def _rerank(
    job: Job, folder: RunFolder, progress: Progress, on_error: OnError
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """The final order of every query, by query id in input order, and what the engine tells of itself."""
    run: dict[str, tuple[str, ...]] = {query.id: () for query in job.work.queries}

    def observe(query: Query, step: Step) -> None:
        folder.trace(query, step)
        progress.add(query, step)

    try:
        with job.plan.reranker(
            tokenizer=job.tokenizer, journal=folder.journal, on_error=on_error, observe=observe
        ) as reranker:
            for ranking in reranker.rerank_many(job.work.load()):
                run[ranking.query.id] = ranking.ids
            details = engine_details(reranker.engine) if reranker.engine is not None else {}
    except BaseException:
        progress.close()
        if progress.tally.windows:
            progress.say(progress.line())
            progress.say(f"stopped; answers so far are in {folder.journal}: the same command continues")
        raise
    progress.close()
    progress.say(progress.line())
    return run, details


def _rankings(job: Job, run: Mapping[str, tuple[str, ...]]) -> Any:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in run[query.id]))


def manifest(job: Job, progress: Progress, seconds: float, details: Mapping[str, Any]) -> dict[str, Any]:
    """What the result was made with, ready for manifest.json."""
    plan = job.plan
    return {
        "version": __version__,
        "command": ["reasonrank", *job.command],
        "model": plan.config.model,
        "revision": plan.config.revision,
        "engine": {
            "name": plan.engine,
            "api": plan.config.api if plan.engine == "openai" else None,
            "arguments": dict(plan.config.args),
            "max_model_len": plan.context,
            "details": dict(details),
        },
        "profile": {"name": plan.profile.name, "made_for_this_model": plan.known},
        "settings": plan.settings.as_dict(),
        "chat_template_sha256": chat_template_hash(job.tokenizer) if job.tokenizer is not None else None,
        "environment": environment(),
        "inputs": dict(job.work.inputs),
        "queries": len(job.work.queries),
        **progress.tally.as_dict(),
        "cached": progress.tally.cached,
        "seconds": round(seconds, 3),
    }
