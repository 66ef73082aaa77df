"""`reasonrank verify`: one small task against its published number, with a line for the reproduction log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from . import VariadicCommand
from .engine_options import engine_options
from .option_names import with_options
from .reproduce import KEPT, OUTSIDE
from .run_again import run_again

TASK = "theoremqa-theorems"
"""BRIGHT's smallest task: 76 queries."""


@click.command(cls=VariadicCommand)
@engine_options
@click.option("--condition", metavar="NAME", help="The published row.  [that of the model]")
@click.option(
    "--runs", type=click.Path(path_type=Path), metavar="DIR", help="A folder with the task's first-stage run."
)
@click.option("--margin", type=click.FloatRange(min=0.01), default=3.0, show_default=True,
              help="Points of nDCG@10 x 100 that still count as the same.")  # fmt: skip
@click.option(
    "--repeat", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs, seeds counting up."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to.",
)
def command(margin: float, **flags: Any) -> None:
    """Rerank BRIGHT's theoremqa-theorems (76 queries, 684 windows) and compare with the published number.

    Prints the row, the equivalence test (two one-sided tests, MARGIN on both sides), and a line for a
    reproduction log. 76 queries tell little: an interval of a few points is the most that one task allows. Exit
    status as `reproduce`.

    \b
    Example:
      reasonrank verify --model liuwenhan/reasonrank-7B -o check/
    """
    from ..reproduce.leaderboard_tables import text_table
    from ..reproduce.reproduce_job import Reproduction
    from ..reproduce.verification import condition_of, equivalence_line, log_line

    if flags["model"] is None and flags["condition"] is None:
        raise InputError("give --model M, such as liuwenhan/reasonrank-7B, or --condition NAME")
    flags["condition"] = flags["condition"] or condition_of(flags["model"])
    defaults = {
        "tasks": (TASK,), "first_stage": None, "judge": "llm", "qrels_kind": None, "shard": None, "merge": False,
        "limit": None, "estimate": False, "on_error": "raise", "max_failed": 0.5, "overwrite": False, "window": None,
        "step": None, "passes": None, "depth": None, "passage_tokens": None, "reasoning_tokens": None, "seed": 0,
        "force_answer": None, "constrained": False, "answer_k": None, "compat": False,
    }  # fmt: skip
    with run_again():
        job = Reproduction.prepare("bright", {**defaults, **flags}, sys.argv[1:])
        for note in job.notes():
            click.echo(f"reasonrank: {with_options(note)}", err=True)
        errors = job.run()
    board = job.table()
    click.echo(text_table(board))
    click.echo(f"{equivalence_line(job, board, margin)}\n")
    click.echo(log_line(job, board, margin))
    if errors or board.within_tolerance is False:
        sys.exit(KEPT if errors else OUTSIDE)
