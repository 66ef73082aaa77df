"""Shared by the tests of dense first stages and their encoders: five documents, a search, a cache of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from reasonrank_pyserini.first_stages.faiss import DenseFirstStage
from reasonrank_pyserini.types import Document, Query

TEXTS = {
    "d1": "a cat sleeps on the warm sofa",
    "d2": "the stock market fell sharply today",
    "d3": "kittens like milk and cats like mice",
    "d4": "bonds and shares lost their value at the exchange",
    "d5": "the recipe needs flour, butter and sugar",
}
DOCUMENTS = [Document(id, text) for id, text in TEXTS.items()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class iter_twice:  # noqa: N801
    """Documents that can be read more than once but are not a list."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)


def ids(stage: DenseFirstStage, *texts: str, k: int = 3) -> list[list[str]]:
    queries = [Query(str(n), text) for n, text in enumerate(texts)]
    return [[hit.id for hit in hits] for hits in stage.candidates(queries, k)]
