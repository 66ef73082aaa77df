"""`reasonrank datasets`: list the test collections, or describe one."""

from __future__ import annotations

import difflib
import fnmatch
import json
from typing import TYPE_CHECKING, Any

import click

from ..datasets import SOURCES
from ..errors import InputError
from ..lazy import resolve

if TYPE_CHECKING:
    from ..datasets.catalogue import Description, Entry


@click.command()
@click.argument("pattern", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def command(pattern: str | None, as_json: bool) -> None:
    """List the test collections that --dataset takes, or describe one.

    PATTERN is part of an id, a pattern with * and ?, or a whole id, which is then described. Nothing is
    downloaded. A dash means that a number is unknown or that there are no judgements.

    \b
    Examples:
      reasonrank datasets bright
      reasonrank datasets 'beir/*/test'
      reasonrank datasets bright/biology
      reasonrank datasets r2med/medqa-diag
    """
    entries: list[Entry] = resolve("dataset source", "catalogue", SOURCES)()
    if any(entry.id == pattern for entry in entries):
        description: Description = resolve("dataset source", "description", SOURCES)(pattern)
        click.echo(json.dumps(_description(description), indent=2) if as_json else _page(description))
        return
    chosen = [entry for entry in entries if pattern is None or _matches(entry.id, pattern)]
    if not chosen:
        raise InputError(_no_match(str(pattern), [entry.id for entry in entries]))
    click.echo(json.dumps([_record(entry) for entry in chosen], indent=2) if as_json else _table(chosen))


def _matches(id: str, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatchcase(id.lower(), pattern.lower())
    return pattern.lower() in id.lower()


def _no_match(pattern: str, ids: list[str]) -> str:
    close = difflib.get_close_matches(pattern, ids, n=1, cutoff=0.5)
    nearest = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"no test collection matches {pattern!r}: {nearest}all {len(ids)} are listed by: reasonrank datasets"
    )


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "documents": entry.documents,
        "queries": entry.queries,
        "judgements": entry.judgements,
        "judged": entry.judged,
        "benchmark": entry.benchmark or None,
        "passage_tokens": entry.passage_tokens,
    }


def _description(description: Description) -> dict[str, Any]:
    return {
        **_record(description.entry),
        "variants": list(description.variants),
        "measures": list(description.measures),
        "about": description.about,
        "licence": description.licence or None,
        "bibtex": list(description.bibtex),
    }


def _table(entries: list[Entry]) -> str:
    rows = [("id", "documents", "queries", "judgements", "benchmark")]
    for entry in entries:
        counts = (_number(entry.documents), _number(entry.queries), _number(entry.judgements))
        rows.append((entry.id, *counts, entry.benchmark))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(row: tuple[str, ...], widths: list[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(row[1:4], widths[1:], strict=True))
    return "  ".join([row[0].ljust(widths[0]), *numbers, row[4]]).rstrip()


def _page(description: Description) -> str:
    entry = description.entry
    lines = {
        "id": entry.id,
        "documents": _number(entry.documents),
        "queries": _number(entry.queries),
        "judgements": _number(entry.judgements),
        "passage tokens": "the model's default"
        if entry.passage_tokens is None
        else str(entry.passage_tokens),
        "query variants": ", ".join(description.variants),
        "measures": ", ".join(description.measures) or "-",
        "licence": description.licence or "see the collection's own site",
        "about": description.about or "-",
    }
    head = "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items())
    return "\n\n".join([head, *description.bibtex])


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
