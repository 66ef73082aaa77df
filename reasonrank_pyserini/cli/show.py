"""`reasonrank show`: one query before and after reranking, with the model's own reasoning."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import FileFormatError, InputError, UnknownNameError
from . import VariadicCommand

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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
    before, after = _orders(steps)
    click.echo(f"query {clean(query_id)}: {len(steps)} windows, {len(after)} candidates reranked\n")
    places = {id: rank for rank, id in enumerate(before, 1)}
    click.echo("rank  was  change  docid")
    for rank, id in enumerate(after[:top], 1):
        moved = places[id] - rank
        click.echo(f"{rank:4} {places[id]:4}  {f'{moved:+d}' if moved else '=':>6}  {clean(id)}")
    width = min(shutil.get_terminal_size().columns, 110)
    for number, step in enumerate(steps, 1):
        tokens = f"{step['prompt_tokens']} tokens in, {step['completion_tokens']} out"
        click.echo(f"\nwindow {number}: {step['status']}, {tokens}{', from the journal' * step['cached']}")
        if "error" in step:
            click.echo(f"  error: {clean(step['error'])}")
        for name in ("reasoning", "answer"):
            text = clean(step[name])
            short = text if full or len(text) <= 600 else text[:600] + " ... (--full shows all)"
            for line in short.splitlines():
                click.echo(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="  "))


def clean(text: str) -> str:
    """A model's or a corpus' text without the characters that could drive a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _trace(folder: Path) -> Iterator[dict[str, Any]]:
    """The steps of a folder's trace, finished or still being written."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give the -o folder of a `reasonrank rerank`")
    path = next((p for name in ("trace.jsonl", "trace.jsonl.part") if (p := folder / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder} holds no trace.jsonl: give the -o folder of a `reasonrank rerank`")
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                if path.suffix == ".part":
                    return  # the line being written right now
                raise FileFormatError(path, number, f"not JSON ({error})") from error


def _steps(folder: Path, query_id: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    known: dict[str, None] = {}
    for step in _trace(folder):
        known[step["query_id"]] = None
        if step["query_id"] == query_id:
            steps.append(step)
    if not steps:
        raise UnknownNameError("query", query_id, known)
    return steps


def _orders(steps: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """The candidates before the first and after the last window; those that no window showed are left out."""
    before: list[str] = []
    after: list[str] = []
    for step in steps:
        new = [id for id in step["window"] if id not in set(after)]
        before = new + before
        after = new + after
        slots = sorted(after.index(id) for id in step["window"])
        for slot, id in zip(slots, step["order"], strict=True):
            after[slot] = id
    return before, after
