"""Counts and shows the outcomes of a synthesis; stops it when a teacher's answers cannot be read."""

from __future__ import annotations

from collections import Counter

from ...errors import TooManyFailuresError
from ...jobs.saying import Display, Reporter, Say, silent
from .outcomes import QueryOutcome, Reason
from .synthesis_folder import Money, spent

MIN_OUTCOMES = 50
"""Queries before the share of failures counts."""
_UNUSABLE = (Reason.UNREADABLE_PICKS, Reason.UNREADABLE_ORDER, Reason.NO_REASONING, Reason.FAILED_CALL)


class SynthesisTally:
    """The outcomes of a synthesis of `total` queries so far.

    `add` raises TooManyFailuresError when, after 50 queries that were asked about, more than `max_failed` of them
    gave nothing that can be read. Without a `display` a line is given to `say` every 30 seconds.
    """

    def __init__(
        self,
        total: int,
        money: Money,
        max_failed: float,
        *,
        say: Say = silent,
        display: Display | None = None,
    ) -> None:
        self.total, self.money, self.max_failed = total, money, max_failed
        self._reporter = Reporter(say, display)
        self.outcomes: list[QueryOutcome] = []
        self._reasons: Counter[Reason | None] = Counter()
        self._cut = 0

    @property
    def kept(self) -> int:
        """Lists that are kept so far."""
        return self._reasons[None]

    def add(self, outcome: QueryOutcome) -> None:
        """Count one more outcome and show the tally."""
        self.outcomes.append(outcome)
        self._reasons[outcome.reason] += 1
        self._cut += any(completion.finish_reason == "length" for completion in outcome.completions)
        self.show()
        self._check()

    def show(self) -> None:
        """Show the tally, or say its line without a display."""
        self._reporter.show(self)

    def close(self) -> None:
        """Close the display."""
        self._reporter.close()

    @property
    def done(self) -> int:
        """Queries so far."""
        return len(self.outcomes)

    def short(self) -> str:
        """The number of lists."""
        return f"{self.kept} kept"

    def line(self) -> str:
        """The state of the synthesis in one line."""
        paid = spent([c for outcome in self.outcomes for c in outcome.completions], self.money)
        numbers = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in paid.items())
        return f"{len(self.outcomes)}/{self.total} queries, {self.kept} kept; {numbers}"

    def _check(self) -> None:
        asked = len(self.outcomes) - self._reasons[Reason.FEW]
        unusable = sum(self._reasons[reason] for reason in _UNUSABLE)
        if asked < MIN_OUTCOMES or unusable <= self.max_failed * asked:
            return
        causes = [f"{self._reasons[reason]} {reason}" for reason in _UNUSABLE if self._reasons[reason]]
        if self._cut > unusable // 2:
            causes.append(f"{self._cut} answers were cut: raise `max_tokens`")
        if self._reasons[Reason.NO_REASONING] > unusable // 2:
            causes.append("the teacher must give reasoning_content, or write <think>..</think>")
        raise TooManyFailuresError(
            f"{unusable} of {asked} queries gave nothing that can be read, more than `max_failed` "
            f"{self.max_failed:g} allows: {'; '.join(causes)}. The answers are kept in the journal"
        )
