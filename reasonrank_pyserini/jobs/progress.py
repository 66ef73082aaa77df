"""The live line of a reranking, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import TooManyFailuresError
from ..types import Query, Step
from .manifest import WindowCounts

MIN_WINDOWS = 50
"""Windows before `--max-failed` is looked at."""


class Progress:
    """Counts windows and shows them: windows/s, tokens/s, time left, CLEAN/REPAIRED/FAILED.

    On a terminal a live bar, elsewhere a line every 30 seconds. `add` raises TooManyFailuresError when,
    after 50 windows, more than `max_failed` of them are FAILED. Thread-safe.
    """

    def __init__(self, windows: int, max_failed: float) -> None:
        self.total, self.max_failed, self.tally = windows, max_failed, WindowCounts()
        self._begin = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=windows, unit="window", file=sys.stderr, dynamic_ncols=True)

    def add(self, query: Query, step: Step) -> None:
        with self._lock:
            tally = self.tally
            tally.add(query, step)
            if self._bar is not None:
                self._bar.set_postfix_str(self._state(), refresh=False)
                self._bar.update()
            elif time.monotonic() - self._said > 30:
                self._said = time.monotonic()
                self.say(self.line())
            if tally.windows >= MIN_WINDOWS and tally.failed > self.max_failed * tally.windows:
                raise TooManyFailuresError(self._diagnosis())

    def _state(self) -> str:
        seconds = max(time.monotonic() - self._begin, 1e-9)
        counts = " ".join(f"{name} {count}" for name, count in sorted(self.tally.statuses.items()))
        return f"{self.tally.completion_tokens / seconds:,.0f} tok/s {counts}"

    def line(self) -> str:
        """Where the run stands, as one line."""
        seconds = max(time.monotonic() - self._begin, 1e-9)
        rate = self.tally.windows / seconds
        left = (self.total - self.tally.windows) / rate if rate else 0.0
        return (
            f"{self.tally.windows}/{self.total} windows ({self.tally.cached} from the journal), "
            f"{rate:.1f} windows/s, {self._state()}, {seconds:.0f} s, {left:.0f} s left"
        )

    def _diagnosis(self) -> str:
        tally = self.tally
        cut = tally.notes.get("truncated", 0)
        causes = []
        if tally.errors:
            causes.append(f"calls fail ({tally.errors.most_common(1)[0][0]})")
        if cut > tally.failed // 2:
            causes.append(f"{cut} answers were cut at the token limit: raise --reasoning-tokens")
        causes.append("the model was not trained for this prompt: choose another --model or --profile")
        causes.append("the server applies a chat template of its own: compare --api completions and chat")
        return (
            f"{tally.failed} of {tally.windows} answers are FAILED, more than --max-failed {self.max_failed:g} allows. "
            f"Likely causes: {'; '.join(causes)}. What was answered is kept in the journal"
        )

    def say(self, text: str) -> None:
        sys.stderr.write(f"reasonrank: {text}\n")
        sys.stderr.flush()

    @contextmanager
    def watching(self, journal: Path) -> Iterator[None]:
        """During the block windows are shown; after it, or when it fails, a last line says where the run stands."""
        try:
            yield
        except BaseException:
            self.close()
            if self.tally.windows:
                self.say(self.line())
                self.say(f"stopped; answers so far are in {journal}: the same command continues")
            raise
        self.close()
        self.say(self.line())

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
