"""`reasonrank verify`: one small task against its published number, with a line for the reproduction log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..reproduce import ModelOverrides, VerifyRequest, VerifyResult, text_table, verify
from . import VariadicCommand
from .reproduce import exit_with
from .reproduce_options import model_options
from .run_again import run_again
from .terminal import say, standing_bar


@click.command(cls=VariadicCommand)
@model_options
@click.option("--condition", metavar="NAME", help="The published row.  [default: the model's]")
@click.option(
    "--runs", type=click.Path(path_type=Path), metavar="DIR", help="A folder with the task's first-stage run."
)
@click.option("--margin", type=click.FloatRange(min=0.01), default=3.0, show_default=True,
              help="Largest difference that counts as the same, in points of nDCG@10 x 100.")  # fmt: skip
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Number of runs, with seeds 0, 1, ...",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to.",
)
def command(model: ModelOverrides, condition: str | None, margin: float, **given: Any) -> None:
    """Rerank BRIGHT's theoremqa-theorems (76 queries, 684 windows) and compare with the published number.

    Prints the row, the equivalence test (two one-sided tests within the margin), and a line for the
    reproduction log. 76 queries are few: expect an interval several points wide. Exit
    statuses are those of `reproduce`.

    \b
    Example:
      reasonrank verify --model liuwenhan/reasonrank-7B -o check/
    """
    request = VerifyRequest(
        model=model, condition=condition, margin=margin, command=tuple(sys.argv[1:]), **given
    )
    with run_again():
        result = verify(request, say=say, display=standing_bar("window"))
    click.echo(text_table(result.leaderboard))
    click.echo(f"{_equivalence(result, margin)}\n")
    click.echo(result.log)
    exit_with(result.errors, result.within_tolerance)


def _equivalence(result: VerifyResult, margin: float) -> str:
    """The test in words."""
    test = result.test
    if test is None:
        return "no number was published for this task: there is nothing to compare with"
    verdict = "the same" if test.equivalent else "not shown to be the same"
    return (
        f"within {margin:g} of the published number: {verdict} (difference {100 * test.difference:+.2f}, 90% interval "
        f"{100 * test.low:+.2f}..{100 * test.high:+.2f}, p {test.p:.3f}, two one-sided tests over "
        f"{result.leaderboard.rows[0].queries} queries)"
    )
