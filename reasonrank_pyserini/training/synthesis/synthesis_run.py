"""Runs a checked synthesis and writes its folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ... import __version__
from ...engines import engine_details
from ...engines.journal import damage_line, recorder
from ...errors import OutputError
from ...files.atomic import atomic_open
from ...jobs.manifest import environment
from ...jobs.run_folder import RunFolder
from ..decontamination import Report, evaluation_texts, overlaps
from . import Histogram, Pool, SynthesisResult, Teacher, synthesize
from .outcomes import Reason
from .synthesis_folder import counts, write_outcomes
from .synthesis_job import SynthesisJob
from .synthesis_progress import SynthesisProgress


def run_synthesis(job: SynthesisJob, output: Path, *, overwrite: bool) -> dict[str, Any]:
    """Ask, filter, write; returns the counts. A folder that already holds this result is left alone."""
    begin = time.monotonic()
    with RunFolder(output, job.configuration(), overwrite=overwrite) as folder:
        if folder.finished:
            say(f"{output} already holds this result: nothing to do (--overwrite makes it again)")
            return dict(json.loads((output / "manifest.json").read_text(encoding="utf-8"))["counts"])
        tokenizer = job.student_tokenizer()
        pools = job.pools()
        report = contamination(job, pools)
        pools, dropped = decontaminated(pools, report)
        teacher = job.teacher(folder.journal)
        if (damage := damage_line(teacher.engine)) is not None:
            say(damage)
        try:
            made = asyncio.run(_ask(job, teacher, pools))
        except BaseException:
            if any(folder.journal.glob("*.journal")):
                say(f"stopped; answers so far are in {folder.journal}: the same command continues")
            raise
        outcomes = _in_order(job, [*made, *dropped])
        flags = job.flags
        histogram = Histogram(
            [o.consistency for o in outcomes if o.consistency is not None], flags["min_ndcg"]
        )
        found = counts(outcomes, histogram, job.money)
        manifest = _manifest(job, teacher, report, found, time.monotonic() - begin)
        with _disk_errors(output):
            (output / "manifest.json").unlink(missing_ok=True)
            write_outcomes(
                output,
                outcomes,
                style=flags["style"],
                tokenizer=tokenizer,
                passage_tokens=flags["passage_tokens"],
            )
            with atomic_open(output / "manifest.json") as stream:
                json.dump({**manifest, "configuration": folder.configuration}, stream, indent=1)
                stream.write("\n")
    for line in [*_lines(report), *histogram.lines()]:
        say(line)
    return found


def contamination(job: SynthesisJob, pools: Sequence[Pool]) -> Report:
    """What the pools share with the evaluations of --against."""
    against, ngram = job.flags["against"], job.flags["ngram"]
    if not against:
        return Report(ngram, 0)
    queries = {pool.source.id: pool.source.text for pool in pools}
    documents = {document.id: document for pool in pools for document in pool.documents}
    say(f"comparing {len(queries)} queries and {len(documents)} documents with {', '.join(against)}")
    return overlaps(queries, documents.values(), evaluation_texts(against), ngram=ngram)


def decontaminated(pools: Iterable[Pool], report: Report) -> tuple[list[Pool], list[SynthesisResult]]:
    """The pools without documents that were found, and the end of those whose query was."""
    kept, dropped = [], []
    for pool in pools:
        if (overlap := report.queries.get(pool.source.id)) is not None:
            dropped.append(SynthesisResult(pool.source, reason=Reason.CONTAMINATED, detail=str(overlap)))
        else:
            clean = tuple(d for d in pool.documents if d.id not in report.documents)
            kept.append(replace(pool, documents=clean))
    return kept, dropped


async def _ask(job: SynthesisJob, teacher: Teacher, pools: Sequence[Pool]) -> list[SynthesisResult]:
    progress = SynthesisProgress(len(pools), job.money, job.flags["max_failed"])
    try:
        async with teacher.engine, contextlib.aclosing(synthesize(pools, teacher, job.making)) as stream:
            async for outcome in stream:
                progress.add(outcome)
    finally:
        progress.close()
    return progress.outcomes


def _in_order(job: SynthesisJob, outcomes: Iterable[SynthesisResult]) -> list[SynthesisResult]:
    by_id = {outcome.source.id: outcome for outcome in outcomes}
    return [by_id[source.id] for source in job.sources]


def _manifest(
    job: SynthesisJob, teacher: Teacher, report: Report, found: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    arguments, journal = dict(job.config.args), recorder(teacher.engine)
    return {
        "version": __version__,
        "command": ["reasonrank", *job.command],
        "model": job.config.model,
        "engine": {
            "name": job.flags["engine"],
            "arguments": arguments,
            "details": engine_details(teacher.engine),
        },
        "prices": {"in": job.money.price_in, "out": job.money.price_out},
        "environment": environment(),
        "counts": dict(found),
        "journal": None if journal is None else {"records": len(journal), "damaged": journal.damaged},
        "decontamination": {"against": list(job.flags["against"]), **report.as_dict()},
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


@contextlib.contextmanager
def _disk_errors(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}; answers are kept: free space and run the same command again"
        ) from error


def say(text: str) -> None:
    """A line for the user on standard error."""
    click.echo(f"reasonrank: {text}", err=True)
