"""`reasonrank show`: one query before and after reranking, with the model's own reasoning."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import click

from ..errors import UnknownNameError
from ..jobs.trace import TracedWindow, orders, read_trace
from . import VariadicCommand

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@click.command(cls=VariadicCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--query", "query_id", required=True, help="The query's id.")
@click.option("--top", default=10, show_default=True, help="Ranks to show.")
@click.option("--full", is_flag=True, help="Show the reasoning of every window whole.")
def command(folder: Path, query_id: str, top: int, full: bool) -> None:
    """Show one query of a finished (or running) reranking: ranks before and after, windows, reasoning.

    \b
    Example:
      reasonrank show out/ --query 12
    """
    steps = _steps(folder, query_id)
    before, after = orders(steps)
    click.echo(f"query {clean(query_id)}: {len(steps)} windows, {len(after)} candidates reranked\n")
    places = {id: rank for rank, id in enumerate(before, 1)}
    click.echo("rank  was  change  docid")
    for rank, id in enumerate(after[:top], 1):
        moved = places[id] - rank
        click.echo(f"{rank:4} {places[id]:4}  {f'{moved:+d}' if moved else '=':>6}  {clean(id)}")
    width = min(shutil.get_terminal_size().columns, 110)
    for number, step in enumerate(steps, 1):
        tokens = f"{step.prompt_tokens} tokens in, {step.completion_tokens} out"
        click.echo(f"\nwindow {number}: {clean(step.status)}, {tokens}{', from the journal' * step.cached}")
        if step.error is not None:
            click.echo(f"  error: {clean(step.error)}")
        for text in map(clean, (step.reasoning, step.answer)):
            short = text if full or len(text) <= 600 else text[:600] + " ... (--full shows all)"
            for line in short.splitlines():
                click.echo(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="  "))


def clean(text: str) -> str:
    """A model's or a corpus' text without the characters that could drive a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _steps(folder: Path, query_id: str) -> list[TracedWindow]:
    steps: list[TracedWindow] = []
    known: dict[str, None] = {}
    for step in read_trace(folder):
        known[step.query_id] = None
        if step.query_id == query_id:
            steps.append(step)
    if not steps:
        raise UnknownNameError("query", query_id, known)
    return steps
