"""Reranking as a PyTerrier transformer: `bm25 % 100 >> ReasonRank(reranker)`."""

from __future__ import annotations

from typing import Any

from ..lazy import require
from ..reranker import Reranker
from ..types import Document, Query, is_missing
from .reranked_lists import rerank_lists, scores

pyterrier: Any = require("pyterrier", "the PyTerrier transformer")


class ReasonRank(pyterrier.Transformer):  # type: ignore[misc]
    """Reranks result frames: qid, query, docno and text in, the same rows with a new score and rank out.

    Candidates are taken by `rank`, else by `score`, else as they stand; those beyond the reranker's depth follow
    unchanged. Rows with the same docno stay; a missing text is empty; `title`, where there is one, is shown before the
    text. Scores count down to 1 and are not comparable between queries. `text_field`: the column with the texts.
    """

    schematic = {"label": "ReasonRank", "help_url": "https://arxiv.org/abs/2508.07050"}  # noqa: RUF012

    def __init__(self, reranker: Reranker, *, text_field: str = "text") -> None:
        self.reranker, self.text_field = reranker, text_field

    def transform(self, inp: Any) -> Any:
        """The frame reranked: queries in the order of their first rows, the rows of each best first."""
        import numpy as np

        pyterrier.validate.result_frame(inp, extra_columns=["query", self.text_field])
        frame = inp.reset_index(drop=True)
        rows = _rows_by_query(frame)
        documents = _documents(frame, self.text_field)
        orders = rerank_lists(
            self.reranker, ((query, [documents[row] for row in group]) for query, group in rows.items())
        )
        best_first = [group[place] for query, group in rows.items() for place in orders[query]]
        ranks = [place for group in rows.values() for place in range(len(group))]
        values = [score for group in rows.values() for score in scores(len(group))]
        reranked = frame.drop(columns=["score", "rank"], errors="ignore").iloc[best_first]
        return reranked.assign(
            score=np.array(values, dtype=float), rank=np.array(ranks, dtype=int)
        ).reset_index(drop=True)

    def __repr__(self) -> str:
        return f"ReasonRank(depth={self.reranker.depth})"


def _rows_by_query(frame: Any) -> dict[Query, list[int]]:
    """Each query's rows in the order of the first stage."""
    ids, texts = frame["qid"].astype(str).tolist(), frame["query"].tolist()
    queries: dict[str, Query] = {}
    for id, text in zip(ids, texts, strict=True):
        queries.setdefault(id, Query(id, text))
    rows: dict[Query, list[int]] = {query: [] for query in queries.values()}
    for row in _first_stage_order(frame):
        rows[queries[ids[row]]].append(row)
    return rows


def _first_stage_order(frame: Any) -> list[int]:
    if "rank" in frame.columns:
        order: list[int] = frame["rank"].sort_values(kind="stable").index.tolist()
    elif "score" in frame.columns:
        order = frame["score"].sort_values(ascending=False, kind="stable").index.tolist()
    else:
        order = list(range(len(frame)))
    return order


def _documents(frame: Any, text_field: str) -> list[Document]:
    texts = frame[text_field].tolist()
    titles = frame["title"].tolist() if "title" in frame.columns else [""] * len(texts)
    return [
        Document(str(row), *("" if is_missing(value) else str(value) for value in pair))
        for row, pair in enumerate(zip(texts, titles, strict=True))
    ]
