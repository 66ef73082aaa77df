"""The progress of a synthesis on standard error: a bar on a terminal, elsewhere a line every 30 seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from ..training.synthesis import SynthesisTally

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class SynthesisDisplay:
    """Shows a tally that grows; its bar is closed on leaving."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __call__(self, tally: SynthesisTally) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=tally.total, unit=" queries", file=sys.stderr, disable=None)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{tally.kept} kept", refresh=False)
            self._bar.update(len(tally.outcomes) - self._bar.n)
        elif time.monotonic() - self._shown > EVERY:
            self._shown = time.monotonic()
            click.echo(f"reasonrank: {tally.line()}", err=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
