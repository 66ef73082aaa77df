"""ScoreShowingJudge: a listwise judge whose prompt shows each passage's first-stage score (InsertRank)."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Candidate, Document, Query, Verdict
from .listwise_judge import LLMJudge


class ScoreShowingJudge:
    """Shows each passage with its own first-stage score.

    With `compat` a score stays with its place in the list, as in RankLLM's program: from the second window of a query
    on, a passage is shown with the score of another one.
    """

    def __init__(self, inner: LLMJudge, *, compat: bool = False) -> None:
        self._inner, self._compat = inner, compat
        self._scores: dict[str, dict[str, float]] = {}

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        """Every score is 0.0 where the first stage's are not known."""
        return await self.judge_candidates(query, [Candidate(document) for document in documents], window)

    async def judge_candidates(
        self, query: Query, candidates: Sequence[Candidate], window: int = 0
    ) -> Verdict:
        scores = self._shown(query.id, candidates, window)
        documents = [candidate.document for candidate in candidates]
        verdict = await self._inner.judge_shown(query, documents, scores, window)
        if self._compat:
            moved = (candidates[place].id for place in verdict.order)
            self._scores[query.id].update(zip(moved, scores, strict=True))
        return verdict

    def close(self) -> None:
        """End the thread that builds prompts."""
        self._inner.close()

    def _shown(self, query_id: str, candidates: Sequence[Candidate], window: int) -> list[float]:
        if not self._compat:
            return [candidate.score for candidate in candidates]
        if window == 0:
            self._scores[query_id] = {}
        moved = self._scores.setdefault(query_id, {})
        return [moved.get(candidate.id, candidate.score) for candidate in candidates]
