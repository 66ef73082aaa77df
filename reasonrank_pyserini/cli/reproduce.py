"""`reasonrank reproduce`: a published condition again, and its scores compared with the published ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..reproduce import (
    ReproduceRequest,
    estimate,
    leaderboard_record,
    run,
    text_table,
)
from ..reproduce.conditions import NAMES
from . import VariadicCommand
from .engine_options import SETTING_OPTIONS, oracle_noise, setting_overrides
from .estimate_lines import reproduce_lines
from .option_groups import option_group
from .reproduce_options import model_options
from .run_again import run_again
from .terminal import say, standing_bar

OUTSIDE, KEPT = 4, 3
"""Exit statuses: a score is outside the tolerance; windows failed and kept their order, or no answer was read."""


@click.command(cls=VariadicCommand)
@click.argument("benchmark", type=click.Choice(NAMES))
@click.option("--condition", default="reasonrank-7b", show_default=True, metavar="NAME",
              help="What to reproduce: see --list.")  # fmt: skip
@click.option("--list", "list_only", is_flag=True, help="List the conditions and stop.")
@click.option("--tasks", multiple=True, metavar="TASK ...", help="Only these tasks.  [default: all]")
@click.option(
    "--first-stage",
    metavar="upstream|bm25|bm25q",
    help="Where candidates come from; upstream: the authors' runs.  [default: condition]",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Your first-stage runs: a folder with TASK.trec per task.",
)
@model_options
@click.option("--judge", default="llm", show_default=True, metavar="llm|oracle[:NOISE]",
              help="oracle orders windows by the judgements: the first stage's ceiling, without a model.")  # fmt: skip
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    help="Which judgements; fixed: castorini's corrections.  [default: condition]",
)
@option_group("settings", SETTING_OPTIONS, setting_overrides)
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Number of runs, with seeds S, S+1, ...",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N queries of each task.")
@click.option(
    "--estimate", "estimate_only", is_flag=True, help="Print windows, tokens, time and cost, then stop."
)
@click.option(
    "--gpu",
    default="h200",
    show_default=True,
    metavar="CLASS",
    help="For --estimate: GPU model, such as h100.",
)
@click.option(
    "--gpus", type=click.IntRange(min=1), default=1, show_default=True, help="For --estimate: how many."
)
@click.option(
    "--price", type=click.FloatRange(min=0), metavar="P", help="For --estimate: money per GPU hour."
)
@click.option("--on-error", type=click.Choice(["raise", "keep"]), default="raise", show_default=True,
              help="raise: a failed window ends the run; keep: it keeps its order and is counted, exit 3.")  # fmt: skip
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="After 50 windows, stop if a larger share of answers cannot be read.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write to.",
)
def command(
    benchmark: str,
    output: Path | None,
    list_only: bool,
    estimate_only: bool,
    as_json: bool,
    judge: str,
    gpu: str,
    gpus: int,
    price: float | None,
    **given: Any,
) -> None:
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
    if list_only:
        from .condition_table import condition_table

        click.echo(condition_table(benchmark))
        return
    request = ReproduceRequest(
        benchmark,
        output=output,
        oracle=oracle_noise(judge),
        command=tuple(sys.argv[1:]),
        **given,
    )
    with run_again():
        if estimate_only:
            found = estimate(request, gpu, gpus, price, say=say)
            click.echo("\n".join(reproduce_lines(found, gpu, gpus, price)))
            return
        result = run(request, say=say, display=standing_bar("window"))
    board = result.leaderboard
    click.echo(json.dumps(leaderboard_record(board), indent=1) if as_json else text_table(board))
    exit_with(result.errors + result.unreadable, result.within_tolerance)


def exit_with(errors: int, within_tolerance: bool | None) -> None:
    """End the program with status KEPT or OUTSIDE where one of them applies."""
    if errors or within_tolerance is False:
        sys.exit(KEPT if errors else OUTSIDE)
