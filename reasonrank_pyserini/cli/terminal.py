"""What commands say while they work: lines and a progress bar on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

import click

from .option_names import with_options

if TYPE_CHECKING:
    from ..jobs.progress import Progress


def say(line: str) -> None:
    """A line of the library for the user, its settings as options."""
    click.echo(f"reasonrank: {with_options(line)}", err=True)


class WindowBar:
    """A bar of the windows so far; a `jobs.progress.ProgressDisplay`."""

    def __init__(self) -> None:
        self._bar: Any = None

    def update(self, progress: Progress) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=progress.total, unit="window", file=sys.stderr, dynamic_ncols=True)
        self._bar.set_postfix_str(progress.rates(), refresh=False)
        self._bar.update(progress.windows - self._bar.n)

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


def window_bar() -> WindowBar | None:
    """A bar where standard error is a terminal; None elsewhere."""
    return WindowBar() if sys.stderr.isatty() else None
