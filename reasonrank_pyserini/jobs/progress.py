"""Where a reranking stands: windows, tokens and failures so far, and when it has to stop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ..errors import TooManyFailuresError
from ..types import Query, Step
from .task_runs import TaskRun

MIN_WINDOWS = 50
"""Windows before the share of failures is looked at."""
SECONDS = 30
"""Between two lines where no display shows the windows."""

Say = Callable[[str], None]
"""Takes one line of text for the user."""


def silent(line: str) -> None:
    """A `say` that drops the line."""


class ProgressDisplay(Protocol):
    """Shows where a reranking stands; `update` is called in the Reranker's thread, after each window."""

    def update(self, progress: Progress) -> None: ...

    def close(self) -> None:
        """The last window has been shown; called in any case."""
        ...


class Progress:
    """Where the tasks stand together, of `total` windows.

    Without a `display` a line is given to `say` every 30 seconds. `max_failed`: the share of answers that cannot be
    read from which on, after 50 windows, `window` raises TooManyFailuresError.
    """

    def __init__(
        self,
        tasks: Sequence[TaskRun],
        total: int,
        max_failed: float,
        *,
        say: Say = silent,
        display: ProgressDisplay | None = None,
    ) -> None:
        self.total, self.max_failed, self.say, self.display = total, max_failed, say, display
        self._tallies = [task.tally for task in tasks]
        self._begin = self._said = time.monotonic()

    @property
    def windows(self) -> int:
        """Windows judged so far."""
        return sum(tally.windows for tally in self._tallies)

    @property
    def failed(self) -> int:
        """Those of them whose answer could not be read."""
        return sum(tally.failed for tally in self._tallies)

    def window(self, query: Query, step: Step) -> None:
        """Show where the tasks stand after a window; a `task_runs.Watch`."""
        if self.display is not None:
            self.display.update(self)
        elif time.monotonic() - self._said > SECONDS:
            self._said = time.monotonic()
            self.say(self.line())
        windows, failed = self.windows, self.failed
        if windows >= MIN_WINDOWS and failed > self.max_failed * windows:
            raise TooManyFailuresError(self._diagnosis(windows, failed))

    def rates(self) -> str:
        """Tokens per second and the statuses so far."""
        statuses: Counter[str] = Counter()
        for tally in self._tallies:
            statuses.update(tally.statuses)
        tokens = sum(tally.completion_tokens for tally in self._tallies)
        counts = " ".join(f"{name} {count}" for name, count in sorted(statuses.items()))
        return f"{tokens / self._seconds():,.0f} tok/s {counts}"

    def line(self) -> str:
        """Where the tasks stand, as one line."""
        seconds, windows = self._seconds(), self.windows
        rate = windows / seconds
        left = (self.total - windows) / rate if rate else 0.0
        cached = sum(tally.cached for tally in self._tallies)
        return (
            f"{windows}/{self.total} windows ({cached} from the journal), "
            f"{_speed(rate)}, {self.rates()}, {seconds:.0f} s, {left:.0f} s left"
        )

    @contextmanager
    def watching(self, journal: Path) -> Iterator[None]:
        """During the block windows are shown; after it, or when it fails, a last line says where the tasks stand."""
        try:
            yield
        except BaseException:
            self._close()
            if self.windows:
                self.say(self.line())
                self.say(f"stopped; answers so far are in {journal}: the same command continues")
            raise
        self._close()
        self.say(self.line())

    def _close(self) -> None:
        if self.display is not None:
            self.display.close()

    def _seconds(self) -> float:
        return max(time.monotonic() - self._begin, 1e-9)

    def _diagnosis(self, windows: int, failed: int) -> str:
        cut = sum(tally.notes.get("truncated", 0) for tally in self._tallies)
        errors: Counter[str] = Counter()
        for tally in self._tallies:
            errors.update(tally.errors)
        causes = []
        if errors:
            causes.append(f"calls fail ({errors.most_common(1)[0][0]})")
        if cut > failed // 2:
            causes.append(f"{cut} answers were cut at the token limit: raise `reasoning_tokens`")
        causes.append("the model was not trained for this prompt: choose another `model` or `profile`")
        causes.append("the server applies a chat template of its own: compare `api` completions and chat")
        return (
            f"{failed} of {windows} answers are FAILED, more than `max_failed` {self.max_failed:g} allows. "
            f"Likely causes: {'; '.join(causes)}. What was answered is kept in the journal"
        )


def _speed(rate: float) -> str:
    """Windows per second, or below one a second the seconds per window."""
    return f"{rate:.1f} windows/s" if rate >= 1 or not rate else f"{1 / rate:.1f} s per window"
