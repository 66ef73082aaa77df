"""The conditions of a benchmark as a table."""

from __future__ import annotations

from textwrap import fill

from ..reproduce.condition_settings import calls
from ..reproduce.conditions import BENCHMARKS, Condition, conditions, first_stage, gain

WIDTH = 100
_COLUMNS = ("condition", "kind", "average", "calls", "gain", "first stage")
_MEANING = (
    "calls: model calls a query; gain: the average above that of the first stage alone, as published, and empty where "
    "no average of that first stage is published or the source does not say which BM25 it was"
)


def condition_table(benchmark: str) -> str:
    """A line for each condition; below them what the columns mean, notes, tasks and footnotes, wrapped at WIDTH."""
    known = conditions(benchmark)
    rows = [_COLUMNS, *map(_row, known)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in rows]
    notes = [f"{one.name}: {one.note}" for one in known if one.note]
    tasks = f"tasks: {' '.join(BENCHMARKS[benchmark].tasks)}"
    below = [_MEANING, *notes, tasks, *BENCHMARKS[benchmark].footnotes]
    return "\n".join([*lines, "", *map(_wrapped, below)])


def _row(one: Condition) -> tuple[str, ...]:
    above = gain(one)
    return (
        one.name,
        one.kind,
        "" if one.average is None else f"{one.average:.2f}",
        "" if (asked := calls(one)) is None else str(asked),
        "" if above is None else f"{above:+.2f}",
        first_stage(one.benchmark, one.first_stage).label,
    )


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if _COLUMNS[column] in ("average", "calls", "gain") else cell.ljust(width)


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
