"""`reasonrank fetch`: everything that a condition needs, for machines without a network."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

import click

from ..errors import InputError
from ..reproduce.conditions import NAMES
from . import VariadicCommand


@click.command(cls=VariadicCommand)
@click.argument("benchmark", type=click.Choice(NAMES), default="bright")
@click.option("--condition", metavar="NAME", help="What will be reproduced.  [default: reasonrank-7b]")
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
def command(benchmark: str, to: Path | None, dry_run: bool, no_model: bool, **flags: object) -> None:
    """Fetch model, tokenizer, documents, queries, judgements and first-stage runs of a condition.

    Sizes come first; nothing is downloaded when the disk has no room. The same command again fetches what is
    missing. The lines on standard output are for the machine without a network: they make `reproduce` use what
    was fetched and ask no one.

    \b
    Example:
      reasonrank fetch bright --condition reasonrank-7b --to /scratch/reasonrank > offline.sh
      . offline.sh; reasonrank reproduce bright --condition reasonrank-7b -o out/
    """
    from ..reproduce import fetching

    if to is not None and "huggingface_hub" in sys.modules:
        raise InputError("--to has to be said before the hub's client is loaded: use the command line")
    places = fetching.place(to)
    from ..files.caches import cache_root
    from ..reproduce.fetch_items import needed

    items = needed(benchmark, flags, with_model=not no_model)
    if dry_run:
        for item in items:
            click.echo(f"{'to fetch' if item.missing else 'here':8}  {item.name}", err=True)
        return
    fetching.fetch_all(items, to or cache_root(), lambda line: click.echo(f"reasonrank: {line}", err=True))
    click.echo(_lines(places))


def _lines(places: Mapping[str, str]) -> str:
    exports = [f"export {name}={quote(value)}" for name, value in places.items()]
    return "\n".join([*exports, "export HF_HUB_OFFLINE=1"])
