"""Runs a synthesis and writes its folder."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import __version__
from ...engines import engine_details
from ...engines.journal import damage_line, recorder
from ...errors import InputError
from ...jobs.held_folder import disk_errors
from ...jobs.manifest import environment
from ...jobs.run_folder import RunFolder
from ...jobs.saying import Display, Say, silent
from ..decontamination import Report, evaluation_texts, overlaps
from .list_making import synthesize
from .outcomes import Histogram, QueryOutcome, Reason
from .pools import Pool
from .synthesis_folder import counts, write_outcomes
from .synthesis_job import SynthesisJob
from .synthesis_request import SynthesisRequest, SynthesisResult
from .synthesis_tally import SynthesisTally
from .teacher import Teacher


def run(request: SynthesisRequest, *, say: Say = silent, display: Display | None = None) -> SynthesisResult:
    """Make the lists of a request in its folder; answers are recorded, so a stopped run continues without loss.

    The folder then holds records.jsonl, sft.jsonl, rl.jsonl, filtered.jsonl (with reasons), queries.jsonl,
    documents.jsonl and manifest.json; a finished result is not made again. `say` takes what the user should know, one
    line at a time; without a `display` also the progress, every 30 seconds. InputError for a request that cannot work,
    EngineError for a call that failed, TooManyFailuresError when too many answers cannot be read.
    """
    if request.output is None:
        raise InputError("give `output`, the folder for records.jsonl, sft.jsonl, rl.jsonl and the rest")
    job, output = SynthesisJob.prepare(request), Path(request.output)
    with RunFolder(output, job.configuration(), overwrite=request.overwrite) as folder:
        if folder.finished:
            say(f"{output} already holds this result: nothing to do (`overwrite` makes it again)")
            return SynthesisResult(output, folder.manifest["counts"])
        return SynthesisResult(output, _synthesized(job, folder, say, display))


def _synthesized(job: SynthesisJob, folder: RunFolder, say: Say, display: Display | None) -> dict[str, Any]:
    """Ask, filter, write; the counts."""
    begin, output = time.monotonic(), folder.path
    tokenizer = job.student_tokenizer()
    pools = job.pools(say=say)
    report = _contamination(job, pools, say)
    pools, dropped = _decontaminated(pools, report)
    teacher = job.teacher(folder.journal)
    if (damage := damage_line(teacher.engine)) is not None:
        say(damage)
    tally = SynthesisTally(len(pools), job.money, job.request.max_failed, say=say, display=display)
    try:
        made = asyncio.run(_ask(job, teacher, pools, tally))
    except BaseException:
        if any(folder.journal.glob("*.journal")):
            say(f"stopped; the answers so far are in {folder.journal}: the same command continues")
        raise
    outcomes = _in_order(job, [*made, *dropped])
    consistencies = [o.consistency for o in outcomes if o.consistency is not None]
    histogram = Histogram(consistencies, job.request.lists.min_ndcg)
    found = counts(outcomes, histogram, job.money)
    manifest = _manifest(job, teacher, report, found, time.monotonic() - begin)
    student = job.request.student
    with disk_errors(output, "; the answers are kept: free some space and run the same again"):
        (output / "manifest.json").unlink(missing_ok=True)
        write_outcomes(
            output, outcomes, style=student.style, tokenizer=tokenizer, passage_tokens=student.passage_tokens
        )
        folder.write_manifest(manifest)
    for line in [*_lines(report), *histogram.lines()]:
        say(line)
    return found


def _contamination(job: SynthesisJob, pools: Sequence[Pool], say: Say) -> Report:
    """What the pools share with the evaluations that the request names."""
    against, ngram = job.request.against, job.request.ngram
    if not against:
        return Report(ngram, 0)
    queries = {pool.source.id: pool.source.text for pool in pools}
    documents = {document.id: document for pool in pools for document in pool.documents}
    say(f"comparing {len(queries)} queries and {len(documents)} documents with {', '.join(against)}")
    return overlaps(queries, documents.values(), evaluation_texts(against), ngram=ngram)


def _decontaminated(pools: Iterable[Pool], report: Report) -> tuple[list[Pool], list[QueryOutcome]]:
    """The pools without the documents that were found, and the outcomes of those whose query was."""
    kept, dropped = [], []
    for pool in pools:
        if (overlap := report.queries.get(pool.source.id)) is not None:
            dropped.append(QueryOutcome(pool.source, reason=Reason.CONTAMINATED, detail=str(overlap)))
        else:
            clean = tuple(d for d in pool.documents if d.id not in report.documents)
            kept.append(replace(pool, documents=clean))
    return kept, dropped


async def _ask(
    job: SynthesisJob, teacher: Teacher, pools: Sequence[Pool], tally: SynthesisTally
) -> list[QueryOutcome]:
    tally.show()
    try:
        async with (
            teacher.engine,
            contextlib.aclosing(synthesize(pools, teacher, job.request.lists)) as stream,
        ):
            async for outcome in stream:
                tally.add(outcome)
    finally:
        tally.close()
    return tally.outcomes


def _in_order(job: SynthesisJob, outcomes: Iterable[QueryOutcome]) -> list[QueryOutcome]:
    by_id = {outcome.source.id: outcome for outcome in outcomes}
    return [by_id[source.id] for source in job.sources]


def _manifest(
    job: SynthesisJob, teacher: Teacher, report: Report, found: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    arguments, journal = dict(job.config.args), recorder(teacher.engine)
    return {
        "version": __version__,
        "command": ["reasonrank", *job.request.command],
        "model": job.config.model,
        "engine": {
            "name": job.request.teacher.engine,
            "arguments": arguments,
            "details": engine_details(teacher.engine),
        },
        "prices": {"in": job.money.price_in, "out": job.money.price_out},
        "environment": environment(),
        "counts": dict(found),
        "journal": None if journal is None else {"records": len(journal), "damaged": journal.damaged},
        "decontamination": {"against": list(job.request.against), **report.as_dict()},
        "errors": found["dropped"].get(str(Reason.FAILED_CALL), 0),
        "seconds": round(seconds, 3),
    }


def _lines(report: Report) -> list[str]:
    if not report.compared:
        return []
    lines = [
        f"{len(report.queries)} queries and {len(report.documents)} documents share {report.ngram} words with one "
        f"of {report.compared} evaluation texts and were dropped"
    ]
    for kind in (report.queries, report.documents):
        lines += [f"  {id!r} {overlap}" for id, overlap in list(kind.items())[:3]]
    return lines
