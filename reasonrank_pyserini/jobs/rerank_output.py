"""What a finished reranking leaves in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from .. import __version__
from ..engines import Engine, engine_details
from ..engines.journal import Journal, recorder
from ..files.rankllm_results import write_results
from ..models.identity import chat_template_hash
from ..ranking.oracle_plan import OraclePlan
from ..ranking.plan import Plan
from ..types import Ranking
from .manifest import environment
from .rerank_job import Job
from .task_runs import TaskRun


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself while it runs, and the journal of its answers."""

    details: Mapping[str, Any]
    journal: Journal | None

    @classmethod
    def of(cls, engine: Engine | None) -> Self:
        return cls({} if engine is None else engine_details(engine), recorder(engine))


def run_manifest(
    task: TaskRun,
    plan: Plan | OraclePlan,
    facts: EngineFacts,
    *,
    command: Sequence[str],
    tokenizer: Any = None,
    machine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a finished task was made with, ready for manifest.json; `machine`: `environment()` where it is known."""
    entry, work, tally, journal = plan.manifest_entry(), task.work, task.tally, facts.journal
    engine = entry.get("engine")
    settings = replace(plan.settings, seed=plan.settings.seed + task.repeat)
    return {
        "version": __version__,
        "command": ["reasonrank", *command],
        **entry,
        "engine": {**engine, "details": dict(facts.details)} if engine else None,
        "settings": settings.as_dict(),
        "chat_template_sha256": chat_template_hash(tokenizer) if tokenizer is not None else None,
        "environment": environment() if machine is None else dict(machine),
        "inputs": dict(work.inputs),
        "queries": len(work.queries),
        **tally.as_dict(),
        "counts": {**{name: count for name, count in work.dropped.items() if count}, **tally.notes},
        "cached": tally.cached,
        "journal": None if journal is None else {"records": len(journal), "damaged": journal.damaged},
        "seconds": round(task.seconds, 3),
    }


def write_result(job: Job, task: TaskRun, facts: EngineFacts) -> None:
    """The finished task's run, trace and manifest, and RankLLM's results for its requests."""
    if job.work.reread:
        write_results(task.folder.path / "results.jsonl", _rankings(job, task))
    manifest = run_manifest(task, job.plan, facts, command=job.request.command, tokenizer=job.tokenizer)
    task.folder.finish(job.written(task.run), job.request.tag, manifest)


def _rankings(job: Job, task: TaskRun) -> Iterator[Ranking]:
    for query, candidates in job.work.load():
        by_id = {candidate.id: candidate for candidate in candidates}
        yield Ranking(query, tuple(by_id[id] for id in task.run[query.id]))
