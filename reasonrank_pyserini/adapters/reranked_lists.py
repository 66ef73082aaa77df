"""Several lists reranked together, their documents known by position: what the adapters share."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from ..reranker import Reranker
from ..types import Document, Query

log = logging.getLogger(__name__)


def rerank_lists(
    reranker: Reranker, lists: Iterable[tuple[Query, Sequence[Document]]]
) -> dict[Query, tuple[int, ...]]:
    """For each query the positions of its documents, best first; documents with the same id or text stay apart.

    Queries must differ, in id or text. Lists are read as there is room. A warning is logged where a deadline or a
    failure that was kept (`on_error`) left an order incomplete.
    """
    orders: dict[Query, tuple[int, ...]] = {}
    incomplete: list[str] = []
    for ranking in reranker.rerank_many(_numbered(lists)):
        orders[ranking.query] = tuple(map(int, ranking.ids))
        if ranking.cut_short or ranking.errors:
            incomplete.append(ranking.query.id)
    if incomplete:
        log.warning(
            "%d of %d queries, e.g. %s, are not reranked to the end (deadline or failed windows)",
            len(incomplete), len(orders), incomplete[0],
        )  # fmt: skip
    return orders


def scores(count: int) -> list[float]:
    """Scores of a reranked list, by place: `count` down to 1. They are ranks, not comparable between queries."""
    return [float(count - place) for place in range(count)]


def _numbered(
    lists: Iterable[tuple[Query, Sequence[Document]]],
) -> Iterator[tuple[Query, list[Document]]]:
    for query, documents in lists:
        yield (
            query,
            [Document(str(row), document.text, document.title) for row, document in enumerate(documents)],
        )
