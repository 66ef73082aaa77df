"""The live line of a synthesis on stderr, and the stop when a teacher's answers cannot be read."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from ...errors import TooManyFailuresError
from . import SynthesisResult
from .outcomes import Reason
from .synthesis_folder import Money, spent

MIN_OUTCOMES = 50
"""Queries before `--max-failed` is looked at."""
EVERY = 30.0
"""Seconds between two lines where there is no terminal."""
_USELESS = (Reason.UNREADABLE_PICKS, Reason.UNREADABLE_ORDER, Reason.NO_REASONING, Reason.FAILED_CALL)


class SynthesisProgress:
    """Counts outcomes and shows them: a bar on a terminal, elsewhere a line every 30 seconds.

    `add` raises TooManyFailuresError when, after 50 queries that were asked about, more than `max_failed` of
    them gave nothing that could be read.
    """

    def __init__(self, total: int, money: Money, max_failed: float) -> None:
        from tqdm import tqdm

        self.total, self.money, self.max_failed = total, money, max_failed
        self.outcomes: list[SynthesisResult] = []
        self._reasons: Counter[Reason | None] = Counter()
        self._cut = 0
        self._said = time.monotonic()
        self._bar: Any = tqdm(total=total, unit=" queries", file=sys.stderr, disable=None)

    def add(self, outcome: SynthesisResult) -> None:
        self.outcomes.append(outcome)
        self._reasons[outcome.reason] += 1
        self._cut += any(completion.finish_reason == "length" for completion in outcome.completions)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"{self._reasons[None]} kept", refresh=False)
            self._bar.update()
        elif time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            sys.stderr.write(f"reasonrank: {self.line()}\n")
        self._check()

    def line(self) -> str:
        """Where the synthesis stands."""
        paid = spent([c for outcome in self.outcomes for c in outcome.completions], self.money)
        numbers = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in paid.items())
        return f"{len(self.outcomes)}/{self.total} queries, {self._reasons[None]} kept; {numbers}"

    def close(self) -> None:
        self._bar.close()

    def _check(self) -> None:
        asked = len(self.outcomes) - self._reasons[Reason.FEW]
        useless = sum(self._reasons[reason] for reason in _USELESS)
        if asked < MIN_OUTCOMES or useless <= self.max_failed * asked:
            return
        causes = [f"{self._reasons[reason]} {reason}" for reason in _USELESS if self._reasons[reason]]
        if self._cut > useless // 2:
            causes.append(f"{self._cut} answers were cut: raise --max-tokens")
        if self._reasons[Reason.NO_REASONING] > useless // 2:
            causes.append("the teacher must give reasoning_content, or write <think>..</think>")
        raise TooManyFailuresError(
            f"{useless} of {asked} queries gave nothing that can be read, more than --max-failed "
            f"{self.max_failed:g} allows: {'; '.join(causes)}. What was answered is kept in the journal"
        )
