"""Judges that show several passages and ask for scores (groupwise) or for the best one (setwise)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from ..prompts.answers import READERS
from ..prompts.answers.best_label import vote
from ..types import Document, ParseStatus, Query, Verdict
from .asking import Asked, Asker, scored_verdict, summed
from .judge import window_seed

AUTHORS_SEED = 929
"""What the program of Rank-R1's authors seeds its shuffles with."""


class GroupwiseJudge:
    """Scores every passage of a window; a passage that the answer leaves out has the score NaN."""

    def __init__(self, asker: Asker, reading: str, *, seed: int = 0, compat: bool = False) -> None:
        self._asker, self._read = asker, READERS[reading]
        self._seed, self._compat = seed, compat

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        asked = await self._asker.ask(query, documents, window_seed(self._seed, query.id, window))
        answer = self._read(asked.text, len(documents), self._compat)
        return scored_verdict(answer, [asked])

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._asker.prompt_thread.close()


class SetwiseJudge:
    """Puts the best passage of a window first, the others in window order.

    With `shuffled` each request shows the passages in random order, from a seed of the window; of several `samples`
    the passage named most often is the best. `compat` draws from one stream for the windows of a query.
    """

    def __init__(
        self, asker: Asker, reading: str, *, shuffled: bool = False, samples: int = 1, seed: int = 0,
        compat: bool = False,
    ) -> None:  # fmt: skip
        self._asker, self._read = asker, READERS[reading]
        self._shuffled, self._samples, self._seed, self._compat = shuffled, samples, seed, compat
        self._streams: dict[str, random.Random] = {}

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        n, stream = len(documents), self._stream(query.id, window)
        orders = [
            stream.sample(range(n), n) if self._shuffled else list(range(n)) for _ in range(self._samples)
        ]
        seeds = [window_seed(self._seed + sample, query.id, window) for sample in range(self._samples)]
        answers: list[Asked] = await asyncio.gather(
            *(
                self._asker.ask(query, [documents[place] for place in order], seed)
                for order, seed in zip(orders, seeds, strict=True)
            )
        )
        read = [self._read(asked.text, n, self._compat) for asked in answers]
        named = [
            None if answer.status is ParseStatus.FAILED else order[answer.order[0]]
            for answer, order in zip(read, orders, strict=True)
        ]
        best = vote(named, stream) if n else None
        completion, notes = summed(answers)
        if best is None:
            return Verdict(tuple(range(n)), ParseStatus.FAILED, completion=completion, notes=notes)
        clean = all(answer.status is ParseStatus.CLEAN for answer in read)
        status = ParseStatus.CLEAN if clean else ParseStatus.REPAIRED
        order = (best, *(place for place in range(n) if place != best))
        return Verdict(order, status, completion=completion, notes=notes)

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._asker.prompt_thread.close()

    def _stream(self, query_id: str, window: int) -> random.Random:
        if not self._compat:
            return random.Random(window_seed(self._seed, f"{query_id}\0shown", window))
        if window == 0 or query_id not in self._streams:
            self._streams[query_id] = random.Random(AUTHORS_SEED + self._seed)
        return self._streams[query_id]
