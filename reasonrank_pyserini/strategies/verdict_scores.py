"""The scores in verdicts, as an order of the candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from statistics import fmean

from ..types import ParseStatus, Verdict, Window


@dataclass(slots=True)
class ScoreSheet:
    """Every candidate's scores so far, in the order in which they came."""

    scores: dict[int, list[float]] = field(default_factory=dict)

    def add(
        self, windows: Sequence[Window], verdicts: Sequence[Verdict], *, failed: float | None = None
    ) -> None:
        """Note the finite scores of verdicts in the windows' shown order.

        `failed`: the score of every passage of a window without any scores (None: it has none).
        """
        for window, verdict in zip(windows, verdicts, strict=True):
            given = verdict.scores
            if given is None and failed is not None:
                given = (failed,) * len(window)
            for candidate, score in zip(window, given or (), strict=False):
                if isfinite(score):
                    self.scores.setdefault(candidate, []).append(score)

    def add_places(self, windows: Sequence[Window], verdicts: Sequence[Verdict]) -> None:
        """Note the places in the orders as scores, 1 for the best to 0 for the last; failed windows give none."""
        for window, verdict in zip(windows, verdicts, strict=True):
            if verdict.status is not ParseStatus.FAILED and len(window) > 1:
                for place, shown in enumerate(verdict.order):
                    score = 1 - place / (len(window) - 1)
                    self.scores.setdefault(window[shown], []).append(score)

    def order(self, candidates: Iterable[int]) -> tuple[int, ...]:
        """The candidates by mean score, ties and those without a score (last) in the order given."""
        means = self._means()
        listed = list(candidates)
        scored = [candidate for candidate in listed if candidate in means]
        unscored = [candidate for candidate in listed if candidate not in means]
        return (*sorted(scored, key=lambda candidate: -means[candidate]), *unscored)

    def means(self, n: int) -> tuple[float, ...]:
        """The mean score of each of `n` candidates, NaN for one without."""
        means = self._means()
        return tuple(means.get(candidate, nan) for candidate in range(n))

    def _means(self) -> dict[int, float]:
        return {candidate: fmean(found) for candidate, found in self.scores.items()}
