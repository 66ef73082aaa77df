"""OracleJudge: the judgements themselves order a window."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from ..types import Document, Query, Verdict


class OracleJudge:
    """The Judge seam's fake and the upper bound of any reranker: orders and scores by relevance grade.

    Ties keep the window's order. `noise` is the standard deviation of a normal error on each grade,
    drawn from (seed, query, document): the same document is misjudged the same way in every window.
    """

    def __init__(self, qrels: Mapping[str, Mapping[str, int]], noise: float = 0.0, seed: int = 0) -> None:
        self.qrels, self.noise, self.seed = qrels, noise, seed

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        grades = self.qrels.get(query.id, {})
        values = [grades.get(d.id, 0) + self._error(query.id, d.id) for d in documents]
        order = tuple(sorted(range(len(documents)), key=lambda i: -values[i]))
        return Verdict(order, scores=tuple(map(float, values)))

    def _error(self, query_id: str, document_id: str) -> float:
        if not self.noise:
            return 0.0
        return random.Random(f"{self.seed}\0{query_id}\0{document_id}").gauss(0.0, self.noise)
