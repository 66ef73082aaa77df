"""`reasonrank reproduce`: a published condition again, all tasks in one queue, and the table beside the paper's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from ..reproduce.conditions import NAMES
from . import VariadicCommand
from .engine_options import engine_options, setting_options
from .option_names import with_options
from .run_again import run_again

OUTSIDE, KEPT = 4, 3
"""Exit statuses: all was done, but a score is outside the tolerance; windows failed and were kept."""


@click.command(cls=VariadicCommand)
@click.argument("benchmark", type=click.Choice(NAMES))
@click.option("--condition", metavar="NAME", help="What to reproduce: see --list.  [default: reasonrank-7b]")
@click.option("--list", "list_only", is_flag=True, help="List the conditions and stop.")
@click.option("--tasks", multiple=True, metavar="TASK ...", help="Only these tasks.  [default: all]")
@click.option("--first-stage", metavar="upstream|bm25|bm25q", help="Where candidates come from.  [condition]")
@click.option("--runs", type=click.Path(path_type=Path), metavar="DIR", help="A folder with a run a task.")
@engine_options
@click.option("--judge", default="llm", show_default=True, metavar="llm|oracle[:NOISE]",
              help="oracle: the ceiling of the first stage, no model needed.")  # fmt: skip
@click.option("--qrels-kind", type=click.Choice(["plain", "fixed"]), help="Which judgements.  [condition]")
@setting_options
@click.option(
    "--repeat", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs, seeds counting up."
)
@click.option("--shard", metavar="I/N", help="Only this part of the queries, for array jobs.")
@click.option("--merge", is_flag=True, help="Unite the finished shards in -o; no model is asked.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N queries of each task.")
@click.option("--estimate", is_flag=True, help="State windows, tokens, time and money, then stop.")
@click.option("--gpu", default="h200", show_default=True, metavar="CLASS", help="For --estimate.")
@click.option(
    "--gpus", type=click.IntRange(min=1), default=1, show_default=True, help="For --estimate: how many."
)
@click.option("--price", type=click.FloatRange(min=0), metavar="P", help="For --estimate: money a GPU hour.")
@click.option("--on-error", type=click.Choice(["raise", "keep"]), default="raise", show_default=True,
              help="A failing window ends the run, or keeps its order, counted (exit 3).")  # fmt: skip
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Stop when, after 50 windows, a larger share of the answers cannot be read.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
def command(benchmark: str, list_only: bool, **flags: Any) -> None:
    """Reproduce a published condition and compare with its numbers.

    All tasks share one engine and one queue; DIR/TASK holds each task's run, trace and manifest, DIR the table
    (leaderboard.json, .md, .tex) and BRIGHT's score JSON. The same command again continues. Exit status: 0 all
    within tolerance, 4 not all, 3 windows failed and were kept, 75 stopped by SIGTERM or SIGUSR1: run again.

    \b
    Examples:
      reasonrank reproduce bright --condition reasonrank-7b -o out/
      reasonrank reproduce bright --judge oracle --tasks biology stackoverflow -o ceiling/
      reasonrank reproduce r2med --condition reasonrank-32b --estimate --gpu h100 --gpus 4 --price 2.5
    """
    from ..files.outputs import check_folder
    from ..reproduce.leaderboard_tables import leaderboard_record, text_table
    from ..reproduce.reproduce_job import Reproduction

    if list_only:
        from .condition_table import condition_table

        click.echo(condition_table(benchmark))
        return
    if flags["output"] is None and not flags["estimate"]:
        raise InputError("give -o DIR, the folder for the tasks' runs and the table")
    if flags["merge"] and flags["shard"]:
        raise InputError("--merge unites what --shard made: give one of them")
    with run_again():
        if flags["output"] is not None:
            check_folder(flags["output"])
        job = Reproduction.prepare(benchmark, flags, sys.argv[1:])
        for note in job.notes():
            click.echo(f"reasonrank: {with_options(note)}", err=True)
        if flags["estimate"]:
            click.echo("\n".join(job.estimate(flags["gpu"], flags["gpus"], flags["price"])))
            return
        errors = job.merge() if flags["merge"] else job.run()
    if flags["shard"]:
        click.echo(json.dumps({"shard": flags["shard"], "queries": job.queries, "errors": errors}))
    else:
        board = job.table()
        click.echo(json.dumps(leaderboard_record(board), indent=1) if flags["as_json"] else text_table(board))
        if not errors and board.within_tolerance is False:
            sys.exit(OUTSIDE)
    if errors:
        sys.exit(KEPT)
