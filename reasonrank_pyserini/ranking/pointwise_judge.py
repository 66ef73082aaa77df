"""PointwiseJudge: a score for every passage, each asked about alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..prompts.answers import READERS
from ..prompts.answers.answer import by_score
from ..prompts.answers.single_score import mean_of_samples
from ..types import Document, ParseStatus, Query, Verdict
from .asking import Asked, Asker, scored_verdict
from .judge import window_seed


class ScoredAnswer(NamedTuple):
    """The score of one passage (None: the answer cannot be read), how it was read, and the request."""

    score: float | None
    status: ParseStatus
    asked: Asked


class Scorer(Protocol):
    """Asks about one passage and reads its score."""

    asker: Asker

    async def score(self, query: Query, document: Document, seed: int) -> ScoredAnswer: ...


class TextScorer:
    """Reads the score in the answer's text."""

    def __init__(self, asker: Asker, reading: str, *, compat: bool = False) -> None:
        self.asker, self._read, self._compat = asker, READERS[reading], compat

    async def score(self, query: Query, document: Document, seed: int) -> ScoredAnswer:
        asked = await self.asker.ask(query, [document], seed)
        answer = self._read(asked.text, 1, self._compat)
        return ScoredAnswer(None if answer.scores is None else answer.scores[0], answer.status, asked)


class PointwiseJudge:
    """Scores each passage of a window by itself; the order is by score, ties and unreadable ones (NaN) as shown.

    `samples`: answers for each passage, whose mean counts; answers that cannot be read are left out of it, and with
    `compat` count as 0.
    """

    def __init__(self, scorer: Scorer, *, samples: int = 1, seed: int = 0, compat: bool = False) -> None:
        self._scorer, self._samples, self._seed, self._compat = scorer, samples, seed, compat

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        alone = len(documents) == 1
        answers = await asyncio.gather(
            *(
                self._scorer.score(
                    query, document, self._seed_of(query, "" if alone else document.id, window, sample)
                )
                for document in documents
                for sample in range(self._samples)
            )
        )
        if not answers:
            return Verdict(())
        each = [answers[at : at + self._samples] for at in range(0, len(answers), self._samples)]
        means = [mean_of_samples([found.score for found in some], self._compat) for some in each]
        clean = all(found.status is ParseStatus.CLEAN for found in answers)
        answer = by_score(
            [math.nan if mean is None else mean for mean in means],
            ParseStatus.CLEAN if clean else ParseStatus.REPAIRED,
        )
        return scored_verdict(answer, [found.asked for found in answers])

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._scorer.asker.prompt_thread.close()

    def _seed_of(self, query: Query, document_id: str, window: int, sample: int) -> int:
        name = f"{query.id}\0{document_id}" if document_id else query.id
        return window_seed(self._seed + sample, name, window)
