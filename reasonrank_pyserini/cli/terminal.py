"""What commands print: lines and progress bars on standard error while they work, tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import click

from .option_names import with_options

if TYPE_CHECKING:
    from ..jobs.saying import Standing


def say(line: str) -> None:
    """A line of the library for the user, its settings as options."""
    click.echo(f"reasonrank: {with_options(line)}", err=True)


class StandingBar:
    """Where work stands, as a bar on standard error; a `jobs.saying.Display`."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None  # made with the first standing, which has the total

    def update(self, standing: Standing) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=standing.total, unit=self._unit, file=sys.stderr, dynamic_ncols=True)
        self._bar.set_postfix_str(standing.short(), refresh=False)
        self._bar.update(standing.done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class StepBars:
    """A bar for each thing that `jobs.retrieve` counts, where standard error is a terminal."""

    def __init__(self) -> None:
        self._unit = ""
        self._bar: Any = None

    def step(self, unit: str, count: int, total: int | None) -> None:
        """`count` more are done."""
        from tqdm import tqdm

        if unit != self._unit:
            self.close()
            self._unit, self._bar = unit, tqdm(total=total, unit=f" {unit}", disable=None)
        self._bar.update(count)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def standing_bar(unit: str) -> StandingBar | None:
    """A bar where standard error is a terminal, else None: the library then says a line every 30 seconds."""
    return StandingBar(unit) if sys.stderr.isatty() else None


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )
