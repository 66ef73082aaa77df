"""Reranking in mteb: a model for its reranking tasks, and our runs as the candidates of its retrieval tasks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic import atomic_open
from ..files.score_json import Run, score_json
from ..lazy import require
from ..reranker import Reranker
from ..types import Document, Query
from .reranked_lists import rerank_lists, scores

log = logging.getLogger(__name__)


class MtebReranker:
    """A model with mteb's SearchProtocol, for reranking tasks and for retrieval tasks with given candidates.

    mteb files results under `name` and `revision`. Scores count down to 1 and are not comparable between queries.
    """

    def __init__(self, reranker: Reranker, name: str, revision: str | None = None) -> None:
        self.reranker, self.name, self.revision = reranker, name, revision
        self._corpus: Any = None
        self._rows: dict[str, int] = {}

    @property
    def mteb_model_meta(self) -> Any:
        """mteb's ModelMeta with the name and the revision, all else unknown."""
        meta = require("mteb.models.model_meta", "mteb tasks").ModelMeta
        return meta.create_empty({"name": self.name, "revision": self.revision})

    def index(self, corpus: Any, **_: Any) -> None:
        """Keep the corpus, whose texts are read when they are needed."""
        self._corpus = corpus
        self._rows = {id: row for row, id in enumerate(corpus["id"])}

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, Sequence[str]] | None = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """The `top_k` best of each query's `top_ranked` documents, reranked: {query id: {docid: score}}.

        Queries without candidates get none. InputError without `top_ranked`.
        """
        if top_ranked is None:
            raise InputError(
                "the task has no candidates to rerank: give it some with task.convert_to_reranking(FILE, top_k=100); "
                "adapters.write_top_ranked makes the FILE from a run"
            )
        asked = [Query(id, text) for id, text in zip(queries["id"], _texts(queries), strict=True)]
        ids = {query: list(dict.fromkeys(top_ranked.get(query.id, ()))) for query in asked}
        if lacking := [query.id for query in asked if not ids[query]]:
            log.warning("%d of %d queries, e.g. %s, have no candidates", len(lacking), len(asked), lacking[0])
        orders = rerank_lists(self.reranker, self._lists(ids))
        return {query.id: _scored([ids[query][place] for place in orders[query]], top_k) for query in asked}

    def _lists(self, ids: Mapping[Query, Sequence[str]]) -> Iterator[tuple[Query, list[Document]]]:
        for query, wanted in ids.items():
            unknown = next((id for id in wanted if id not in self._rows), None)
            if unknown is not None:
                raise InputError(f"candidate {unknown!r} of query {query.id!r} is not in the task's corpus")
            found = self._corpus[[self._rows[id] for id in wanted]]
            titles = found.get("title") or [""] * len(wanted)
            yield (
                query,
                [
                    Document(*row)
                    for row in zip(wanted, found["text"], (t or "" for t in titles), strict=True)
                ],
            )


def write_top_ranked(
    path: str | Path, runs: Mapping[str, Mapping[str, Run]], *, name: str = "first-stage/run"
) -> None:
    """Runs as the file that a task's `convert_to_reranking` reads; it appears whole or not at all.

    `runs`: {subset: {split: run}}, with every subset and split of the task; most tasks have {"default": {"test": run}}.
    `name`: what mteb's results call the first stage. Equal scores are moved apart, so that mteb keeps their order.
    """
    found: dict[str, Any] = {"mteb_model_meta": {"model_name": name, "revision": None}}
    for subset, splits in runs.items():
        found[subset] = {split: score_json(run) for split, run in splits.items()}
    with atomic_open(path) as stream:
        stream.write(json.dumps(found, allow_nan=False) + "\n")


def _texts(queries: Any) -> Iterator[str]:
    """The text of each query, followed by its instruction where it has one, as mteb's own models are given it."""
    columns = queries.column_names
    instructions = queries["instruction"] if "instruction" in columns else [None] * len(queries)
    for text, instruction in zip(queries["text"], instructions, strict=True):
        if not isinstance(text, str):
            raise InputError("the task's queries are conversations: only texts can be reranked for")
        yield f"{text} {instruction}" if instruction else text


def _scored(ids: Sequence[str], top_k: int) -> dict[str, float]:
    return dict(list(zip(ids, scores(len(ids)), strict=True))[:top_k])
