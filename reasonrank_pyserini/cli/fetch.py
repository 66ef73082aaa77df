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
              help="What will be reproduced.")  # fmt: skip
@click.option("--tasks", multiple=True, metavar="TASK ...", help="Only these tasks.  [default: all]")
@click.option("--model", metavar="M", help="Another model than the condition's.")
@click.option("--first-stage", metavar="upstream|bm25|bm25q", help="As for `reproduce`.  [condition]")
@click.option(
    "--runs", type=click.Path(path_type=Path), metavar="DIR", help="As for `reproduce`: no run is fetched."
)
@click.option("--qrels-kind", type=click.Choice(["plain", "fixed"]), help="As for `reproduce`.  [condition]")
@click.option("--no-model", is_flag=True, help="Only the collections and the runs.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Put it all in DIR."
)
@click.option("--dry-run", is_flag=True, help="State what would be fetched, with sizes, and stop.")
def command(benchmark: str, no_model: bool, dry_run: bool, **given: Any) -> None:
    """Fetch model, tokenizer, documents, queries, judgements and first-stage runs of a condition.

    Sizes come first; nothing is downloaded when the disk has no room. The same command again fetches what is
    missing. The lines on standard output are for the machine without a network: they make `reproduce` use what
    was fetched and never the network.

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
