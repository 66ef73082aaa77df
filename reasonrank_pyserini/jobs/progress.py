"""Where a reranking stands: windows, tokens and failures so far, and when it has to stop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..engines import Engine, start_note
from ..engines.journal import damage_line
from ..errors import TooManyFailuresError
from ..types import Query, Step
from .saying import Display, Reporter, Say, silent
from .task_runs import TaskRun

MIN_WINDOWS = 50
"""Windows before the share of failures is looked at."""


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
        display: Display | None = None,
    ) -> None:
        self.total, self.max_failed, self.say = total, max_failed, say
        self._tallies = [task.tally for task in tasks]
        self._reporter, self._begin = Reporter(say, display), 0.0

    @property
    def done(self) -> int:
        """Windows judged so far."""
        return sum(tally.windows for tally in self._tallies)

    @property
    def failed(self) -> int:
        """Those of them whose answer could not be read."""
        return sum(tally.failed for tally in self._tallies)

    def window(self, query: Query, step: Step) -> None:
        """Show where the tasks stand after a window; a `task_runs.Watch`. Time counts from the first window's start."""
        if not self._begin:
            first = step.verdict.completion
            self._begin = time.monotonic() - (
                first.seconds if first is not None and not first.cached else 0.0
            )
        self._reporter.show(self)
        windows, failed = self.done, self.failed
        if windows >= MIN_WINDOWS and failed > self.max_failed * windows:
            raise TooManyFailuresError(self._diagnosis(windows, failed))

    def short(self) -> str:
        """Tokens per second and the statuses so far."""
        statuses: Counter[str] = Counter()
        for tally in self._tallies:
            statuses.update(tally.statuses)
        tokens = sum(tally.completion_tokens for tally in self._tallies)
        counts = " ".join(f"{name} {count}" for name, count in sorted(statuses.items()))
        return f"{tokens / self._seconds():,.0f} tok/s {counts}"

    def line(self) -> str:
        """Where the tasks stand, as one line."""
        seconds, windows = self._seconds(), self.done
        rate = windows / seconds
        left = (self.total - windows) / rate if rate else 0.0
        cached = sum(tally.cached for tally in self._tallies)
        return (
            f"{windows}/{self.total} windows ({cached} from the journal), "
            f"{_speed(rate)}, {self.short()}, {seconds:.0f} s, {left:.0f} s left"
        )

    @contextmanager
    def watching(self, journal: Path, engine: Engine | None) -> Iterator[None]:
        """During the block windows are shown; after it, or when it fails, a last line says where the tasks stand."""
        if (damage := damage_line(engine)) is not None:
            self.say(damage)
        if engine is not None and (note := start_note(engine)):
            self.say(note)
        try:
            yield
        except BaseException:
            self._reporter.close()
            if self.done:
                self.say(self.line())
                self.say(f"stopped; answers so far are in {journal}: the same command continues")
            raise
        self._reporter.close()
        self.say(self.line())

    def _seconds(self) -> float:
        return max(time.monotonic() - self._begin, 1e-9) if self._begin else 1e-9

    def _diagnosis(self, windows: int, failed: int) -> str:
        cut = sum(tally.notes.get("truncated", 0) for tally in self._tallies)
        errors: Counter[str] = Counter()
        for tally in self._tallies:
            errors.update(tally.errors)
        return (
            f"{failed} of {windows} answers are FAILED, more than `max_failed` {self.max_failed:g} allows. "
            f"{likely_causes(failed, cut, errors)}. What was answered is kept in the journal"
        )


def likely_causes(failed: int, cut: int, errors: Mapping[str, int]) -> str:
    """Why many answers cannot be read: `cut` of them at the token limit, `errors` are messages of failed calls."""
    causes = []
    if errors:
        causes.append(f"calls fail ({max(errors, key=lambda message: errors[message])})")
    if cut > failed // 2:
        causes.append(f"{cut} answers were cut at the token limit: raise `reasoning_tokens`")
    causes.append("the model was not trained for this prompt: choose another `model` or `profile`")
    causes.append("the server applies a chat template of its own: compare `api` completions and chat")
    return f"Likely causes: {'; '.join(causes)}"


def _speed(rate: float) -> str:
    """Windows per second, or below one a second the seconds per window."""
    return f"{rate:.1f} windows/s" if rate >= 1 or not rate else f"{1 / rate:.1f} s per window"
