"""What long work says while it runs: lines for the user, and where it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

SECONDS = 30
"""Between two lines where no display shows where the work stands."""

Say = Callable[[str], None]
"""Takes one line of text for the user."""


def silent(line: str) -> None:
    """A `say` that drops the line."""


class Standing(Protocol):
    """Where some work stands: `done` of `total` steps."""

    total: int

    @property
    def done(self) -> int: ...

    def short(self) -> str:
        """What a display shows with the count."""
        ...

    def line(self) -> str:
        """All of it, as one line."""
        ...


class Display(Protocol):
    """Shows where work stands; `update` is called after each step, for a reranking in the Reranker's thread."""

    def update(self, standing: Standing) -> None: ...

    def close(self) -> None:
        """The last step has been shown; called in any case."""
        ...


class Reporter:
    """Shows where work stands on a display; without one `say` takes a line every 30 seconds."""

    def __init__(self, say: Say, display: Display | None) -> None:
        self.say, self._display, self._said = say, display, time.monotonic()

    def show(self, standing: Standing) -> None:
        """Called after each step."""
        if self._display is not None:
            self._display.update(standing)
        elif time.monotonic() - self._said > SECONDS:
            self._said = time.monotonic()
            self.say(standing.line())

    def close(self) -> None:
        """Close the display."""
        if self._display is not None:
            self._display.close()
