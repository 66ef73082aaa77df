"""`reasonrank fetch`: everything that a condition needs, for machines without a network."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from ..reproduce import FetchRequest, fetch, needed
from ..reproduce.conditions import NAMES
from . import VariadicCommand
from .terminal import say


@click.command(cls=VariadicCommand)
@click.argument("benchmark", type=click.Choice(NAMES), default="bright")
@click.option("--condition", default="reasonrank-7b", show_default=True, metavar="NAME",
              help="The published row: see `reasonrank reproduce bright --list`.")  # fmt: skip
@click.option("--tasks", multiple=True, metavar="TASK ...", help="Only these tasks.  [default: all]")
@click.option("--model", metavar="M", help="A model in place of the condition's.")
@click.option(
    "--first-stage", metavar="upstream|bm25|bm25q", help="As for `reproduce`.  [default: condition]"
)
@click.option(
    "--runs", type=click.Path(path_type=Path), metavar="DIR", help="As for `reproduce`; no run is fetched."
)
@click.option(
    "--qrels-kind", type=click.Choice(["plain", "fixed"]), help="As for `reproduce`.  [default: condition]"
)
@click.option("--no-model", is_flag=True, help="Only the collections and the runs.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for everything.  [default: the usual caches]",
)
@click.option("--dry-run", is_flag=True, help="List what would be fetched, then stop.")
def command(benchmark: str, no_model: bool, dry_run: bool, **given: Any) -> None:
    """Fetch model, tokenizer, documents, queries, judgements and first-stage runs of a condition.

    Prints sizes first, and downloads nothing if the disk is too small. The same command again fetches what is
    missing. The lines on standard output are environment variables for the machine without a network: with them,
    `reproduce` uses what was fetched and never the network.

    \b
    Example:
      reasonrank fetch bright --condition reasonrank-7b --to /scratch/reasonrank > offline.sh
      . offline.sh; reasonrank reproduce bright --condition reasonrank-7b -o out/
    """
    request = FetchRequest(benchmark, with_model=not no_model, **given)
    if dry_run:
        for item in needed(request):
            click.echo(f"{'to fetch' if item.missing else 'here':8}  {item.name}", err=True)
        return
    environment = fetch(request, say=say).environment
    click.echo("\n".join(f"export {name}={quote(value)}" for name, value in environment.items()))
