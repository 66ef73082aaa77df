"""`reasonrank rerank`: a run or a request file in, run.trec, trace.jsonl and manifest.json out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..datasets.docids import DOCID_STYLES
from ..errors import InputError
from ..jobs.task_runs import TAG
from . import VariadicCommand
from .collection_options import corpus_options
from .engine_options import JUDGE_OPTIONS, engine_options, setting_options
from .option_groups import add_options
from .option_names import with_options


@click.command(cls=VariadicCommand)
@click.option("--run", type=click.Path(path_type=Path), help="The first stage's TREC run, plain or .gz.")
@click.option("--requests", type=click.Path(path_type=Path), help="RankLLM's JSONL, instead of --run.")
@corpus_options
@engine_options
@add_options(JUDGE_OPTIONS)
@setting_options
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N queries.")
@click.option("--query-ids", help="Only these queries: A,B,C.")
@click.option("--dry-run", is_flag=True, help="State windows, tokens and time, then stop.")
@click.option("--on-error", type=click.Choice(["raise", "keep"]), default="raise", show_default=True,
              help="A failing window ends the run, or keeps its order, counted (exit 3).")  # fmt: skip
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Seconds for a query, waiting included, then its order so far is taken (exit 3).")  # fmt: skip
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Stop when, after 50 windows, a larger share of the answers cannot be read.")  # fmt: skip
@click.option("--replay", is_flag=True, help="Start no engine: every answer comes from DIR/journal.")
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--docid-style", type=click.Choice(list(DOCID_STYLES)), default="hub", show_default=True,
              help="In run.trec: the collection's own docids, or castorini's, with _ for blanks.")  # fmt: skip
@click.option("--tag", default=TAG, show_default=True, help="Last column of run.trec.")
def command(**flags: Any) -> None:
    """Rerank the candidates of a first stage with a reasoning listwise model.

    Writes DIR/run.trec, DIR/trace.jsonl (every window with the model's reasoning) and DIR/manifest.json.
    The same command again continues where it stopped.

    \b
    Examples:
      reasonrank rerank --run bm25.trec --corpus corpus.jsonl --topics topics.tsv \\
          --model liuwenhan/reasonrank-7B -o out/
      reasonrank rerank --requests requests.jsonl --model liuwenhan/reasonrank-7B \\
          --base-url http://a:8000/v1 http://b:8000/v1 -o out/     # two servers share the windows

    The first one again with --replay makes the same run from DIR/journal, without GPU and weights; where the
    result is there already, it is compared with what the journal gives.
    """
    from ..files.trec import check_tag
    from ..jobs.rerank_job import Job
    from ..jobs.rerank_replay import replay_job
    from ..jobs.rerank_run import Target, run_job

    if (flags["run"] is None) == (flags["requests"] is None):
        raise InputError(
            "give one of --run FILE (a TREC run) and --requests FILE.jsonl (queries with candidates)"
        )
    if flags["output"] is None and not flags["dry_run"]:
        raise InputError("give -o DIR, the folder for run.trec, trace.jsonl and manifest.json")
    if flags["replay"] and flags["deadline"] is not None:
        raise InputError("--replay asks nobody and waits for nothing: leave --deadline out")
    check_tag(flags["tag"])
    job = Job.prepare(flags, command=sys.argv[1:])
    for note in job.notes():
        click.echo(f"reasonrank: {with_options(note)}", err=True)
    if flags["dry_run"]:
        from ..jobs.estimate import estimate

        click.echo("\n".join(estimate(job)))
        return
    target = Target(flags["output"], flags["overwrite"], flags["tag"], flags["docid_style"])
    if flags["replay"]:
        summary = replay_job(job, target, on_error=flags["on_error"])
    else:
        summary = run_job(
            job,
            target,
            on_error=flags["on_error"],
            max_failed=flags["max_failed"],
            deadline=flags["deadline"],
        )
    click.echo(json.dumps(summary))
    if summary["errors"] or summary["deadline"]:
        sys.exit(3)
