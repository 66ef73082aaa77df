"""Reranking behind the methods of sentence-transformers' CrossEncoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..lazy import require
from ..reranker import Reranker
from ..types import Document, Query
from .reranked_lists import rerank_lists, scores


class ReasonRankCrossEncoder:
    """`rank` and `predict` as CrossEncoder has them, for tools that take one.

    Scores are places in a list, from 1 for the best down to 1/n: comparable within a query, not between queries, and
    they change with the list. CrossEncoder's other arguments (prompt, batch_size, device, ...) are taken and have no
    effect.
    """

    def __init__(self, reranker: Reranker) -> None:
        self.reranker = reranker

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        **_: Any,
    ) -> list[dict[str, Any]]:
        """The `top_k` best documents, best first: {"corpus_id": position, "score"}, with "text" if asked for."""
        (order,) = self._orders([(query, documents)])
        found: list[dict[str, Any]] = [
            {"corpus_id": position, "score": score}
            for position, score in zip(order, _shares(len(order)), strict=True)
        ][:top_k]
        return [{**one, "text": documents[one["corpus_id"]]} for one in found] if return_documents else found

    def predict(
        self,
        inputs: Sequence[Any],
        *,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        **_: Any,
    ) -> Any:
        """A score for each (query, document) pair, in their order: the pairs of one query text are one list.

        A numpy array of float32, a tensor or a list of tensors, as from CrossEncoder; a scalar for a single pair.
        """
        import numpy as np

        if len(inputs) and isinstance(inputs[0], str):
            return self.predict(
                [inputs], convert_to_numpy=convert_to_numpy, convert_to_tensor=convert_to_tensor
            )[0]
        rows: dict[str, list[int]] = {}
        for row, (query, _document) in enumerate(inputs):
            rows.setdefault(query, []).append(row)
        found = np.zeros(len(inputs), dtype=np.float32)
        orders = self._orders([(query, [inputs[row][1] for row in group]) for query, group in rows.items()])
        for group, order in zip(rows.values(), orders, strict=True):
            found[[group[position] for position in order]] = _shares(len(group))
        if convert_to_numpy and not convert_to_tensor:
            return found
        import torch

        tensor = torch.from_numpy(found)
        return tensor if convert_to_tensor else list(tensor)

    @cached_property
    def model_card_data(self) -> Any:
        """Where sentence-transformers' evaluators leave their results."""
        module = require(
            "sentence_transformers.cross_encoder.model_card", "sentence-transformers' evaluators"
        )
        return module.CrossEncoderModelCardData()

    def _orders(self, lists: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[int, ...]]:
        queries = [Query(str(number), text) for number, (text, _) in enumerate(lists, 1)]
        documents = [[Document("", text) for text in texts] for _, texts in lists]
        found = rerank_lists(self.reranker, zip(queries, documents, strict=True))
        return [found[query] for query in queries]


def _shares(count: int) -> list[float]:
    return [score / count for score in scores(count)]
