"""`reasonrank journal`: show, verify and merge the recorded answers of a folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import NamedGroup
from .show import clean

if TYPE_CHECKING:
    from ..engines.journal.upkeep import JournalReport


class JournalGroup(NamedGroup):
    """`journal DIR` is `journal show DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help") and _means_folder(args[0]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def _means_folder(word: str) -> bool:
    return word.startswith("-") or "/" in word or os.path.exists(word)


@click.group(cls=JournalGroup, what="journal command or folder")
def command() -> None:
    """Show, check or merge the recorded answers of a folder; `journal DIR` shows them.

    DIR is the -o folder of `rerank`, `reproduce` or `synthesize`, or the journal/ in it.

    \b
    Examples:
      reasonrank journal out/
      reasonrank journal verify out/
      reasonrank journal prune out/ --dry-run
    """


_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command.command("show")
@_FOLDER
@_JSON
def show(folder: Path, as_json: bool) -> None:
    """Show files, records, tokens and damage.

    For a finished result it also shows how many windows were answered from the journal.

    \b
    Example:
      reasonrank journal out/ --json
    """
    from ..engines.journal.upkeep import inspect, journal_of

    report = inspect(journal_of(folder))
    found = {**_summary(report), "result": _result(report.folder)}
    if as_json:
        click.echo(json.dumps(found))
        return
    width = max([4, *(len(clean(file.path.name)) for file in report.files)])
    click.echo(f"{'file':<{width}} {'records':>9} {'damaged':>9} {'bytes':>13}")
    for row in found["files"]:
        counts = f"{row['records']:>9,} {row['damaged']:>9,} {row['bytes']:>13,}"
        click.echo(f"{clean(row['name']):<{width}} {counts}")
    click.echo(f"{'all':<{width}} {report.records:>9,} {report.damaged:>9,} {report.size:>13,}")
    click.echo("\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"answers  {found['keys']:,} ({found['duplicates']:,} records are duplicates)",
        f"tokens   {found['prompt_tokens']:,} in, {found['completion_tokens']:,} out",
    ]
    result = found["result"]
    if result is not None:
        lines.append(
            f"result   {result['windows']:,} windows: {result['cached']:,} from the journal, {result['asked']:,} by "
            f"the engine and recorded, {result['errors']:,} failed"
        )
    if found["damaged"]:
        lines.append("damaged  skipped, and generated again when needed: `journal verify` shows where")
    return lines


@command.command("verify")
@_FOLDER
@_JSON
def verify(folder: Path, as_json: bool) -> None:
    """Read every record and list damage.

    Exit status 0 if all records are whole, else 1, with a line for each damaged place.

    \b
    Example:
      reasonrank journal verify out/
    """
    from ..engines.journal.upkeep import inspect, journal_of

    report = inspect(journal_of(folder))
    damage = [(file.path, one) for file in report.files for one in file.damage]
    if as_json:
        rows = [
            {"file": path.name, "position": one.position, "bytes": one.length, "reason": one.reason}
            for path, one in damage
        ]
        click.echo(json.dumps({**_summary(report), "damage": rows}))
    else:
        for path, one in damage:
            click.echo(f"{clean(str(path))}: byte {one.position:,}, {one.length:,} bytes: {one.reason}")
        state = f"{report.damaged:,} damaged" if damage else "whole"
        click.echo(f"{state}: {report.records:,} records in {len(report.files):,} files")
    sys.exit(1 if damage else 0)


@command.command("prune")
@_FOLDER
@click.option("--dry-run", is_flag=True, help="Print what would be removed; change nothing.")
@_JSON
def prune(folder: Path, dry_run: bool, as_json: bool) -> None:
    """Merge all files into one, without duplicates and damage.

    No answer is lost, even if the command is killed. It is refused while another process writes to the folder.
    Answers that no result needs any more are kept.

    \b
    Examples:
      reasonrank journal prune out/ --dry-run
      reasonrank journal prune out/
    """
    from ..engines.journal.upkeep import held_alone, inspect, journal_of
    from ..engines.journal.upkeep import prune as merge

    place = journal_of(folder)
    if dry_run:
        report = inspect(place)
    else:
        with held_alone(place) as files:
            report = inspect(place, files)
            if _needs_pruning(report):
                merge(report)
    kept = sum(span.length for _, span in report.last().values())
    found = {
        "pruned": not dry_run and _needs_pruning(report), "files": len(report.files), "records": report.keys,
        "duplicates": report.records - report.keys, "damaged": report.damaged, "bytes": report.size,
        "bytes_after": kept if _needs_pruning(report) else report.size,
    }  # fmt: skip
    click.echo(json.dumps(found) if as_json else _pruned(found, report))


def _pruned(found: dict[str, Any], report: JournalReport) -> str:
    if not _needs_pruning(report):
        return f"nothing to prune: {len(report.files)} files, {report.records:,} records, each once"
    return (
        f"{'merged' if found['pruned'] else 'would merge'} {found['files']:,} files into one: {report.keys:,} answers "
        f"kept, {found['duplicates']:,} duplicates and {report.damaged:,} damaged records dropped, "
        f"{report.size:,} bytes before, {found['bytes_after']:,} after"
    )


def _needs_pruning(report: JournalReport) -> bool:
    return len(report.files) > 1 or report.records > report.keys or report.damaged > 0


def _summary(report: JournalReport) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "files": [
            {"name": f.path.name, "records": len(f.records), "damaged": len(f.damage), "bytes": f.size}
            for f in report.files
        ],
        "records": report.records,
        "keys": report.keys,
        "duplicates": report.records - report.keys,
        "damaged": report.damaged,
        "bytes": report.size,
        "prompt_tokens": sum(file.prompt_tokens for file in report.files),
        "completion_tokens": sum(file.completion_tokens for file in report.files),
    }


def _result(journal: Path) -> dict[str, int] | None:
    """How the windows of the finished reranking next to a journal were answered; None without one."""
    from ..jobs.trace import read_manifest

    manifest = read_manifest(journal.parent) if journal.name == "journal" else {}
    if not isinstance(manifest.get("windows"), int):
        return None
    windows, cached, errors = (int(manifest.get(name) or 0) for name in ("windows", "cached", "errors"))
    return {"windows": windows, "cached": cached, "asked": windows - cached - errors, "errors": errors}
