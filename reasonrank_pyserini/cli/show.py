"""`reasonrank show`: one query before and after reranking, with the model's own reasoning."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import click

from ..jobs.trace import TracedWindow, read_query
from . import VariadicCommand

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@click.command(cls=VariadicCommand)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--query", "query_id", required=True, metavar="ID", help="The query's id.")
@click.option("--top", default=10, show_default=True, help="Ranks to show.")
@click.option("--full", is_flag=True, help="Print the whole reasoning of every window.")
def command(folder: Path, query_id: str, top: int, full: bool) -> None:
    """Show one query of a finished or running reranking: ranks before and after, windows, reasoning.

    \b
    Example:
      reasonrank show out/ --query 12
    """
    query = read_query(folder, query_id)
    shown = {id for window in query.windows for id in window.window}
    click.echo(
        f"query {clean(query_id)}: {len(query.windows)} window{'s' * (len(query.windows) != 1)}, "
        f"{len(shown)} candidates reranked\n"
    )
    if query.fused:
        later = "" if query.after else "; the order is known once the reranking is finished"
        click.echo(f"fused with the first stage ({clean(query.fused)}){later}\n")
    was = {id: rank for rank, id in enumerate(query.before, 1)}
    click.echo("rank  was  change  docid" if was else "rank  docid")
    for rank, id in enumerate(query.after[:top], 1):
        moved = was.get(id, rank) - rank
        change = f"{was[id]:4}  {f'{moved:+d}' if moved else '=':>6}  " if was else " "
        click.echo(f"{rank:4} {change}{clean(id)}")
    for number, window in enumerate(query.windows, 1):
        _print_window(number, window, full)


def _print_window(number: int, window: TracedWindow, full: bool) -> None:
    width = min(shutil.get_terminal_size().columns, 110)
    tokens = f"{window.prompt_tokens} tokens in, {window.completion_tokens} out"
    click.echo(f"\nwindow {number}: {clean(window.status)}, {tokens}{', from the journal' * window.cached}")
    if window.error is not None:
        click.echo(f"  error: {clean(window.error)}")
    for text in map(clean, (window.reasoning, window.answer)):
        short = text if full or len(text) <= 600 else text[:600] + " ... (--full shows all)"
        for line in short.splitlines():
            click.echo(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="  "))


def clean(text: str) -> str:
    """The text with each control character that could change the terminal replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
