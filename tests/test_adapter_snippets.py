"""The classes that docs/adapters.md shows, each run where its package is installed, the best document checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from docs_kit import ROOT, Block, blocks

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

SNIPPETS = [block for block in blocks(ROOT / "docs" / "adapters.md") if block.package]
SECOND = {
    "pyterrier": r"d2 +0[\s\S]*d1 +1",
    "sentence_transformers": r"'corpus_id': 1, 'score': 1.0, 'text': 'A moth[\s\S]*\[0.5 1. \]",
    "langchain_core": "^.Document.*A moth",
    "llama_index.core": r"^\[NodeWithScore.*A moth(?s:.)*score=1.0",
    "haystack": "^{'documents': .Document.*A moth",
    "rerankers": "Light",
}
"""What is printed when the second document is the best."""


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    """Prefers the second document, whatever the ids: they count from 0 or from 1."""

    class Last:
        async def judge(self, query: Any, documents: Any, number: int = 0) -> Any:
            return await OracleJudge({query.id: {documents[-1].id: 1}}).judge(query, documents, number)

    with Reranker(Last()) as reranker:
        yield reranker


def test_every_package_is_expected() -> None:
    assert [block.package for block in SNIPPETS] == list(SECOND)


@pytest.mark.parametrize("block", SNIPPETS, ids=lambda block: block.package)
@pytest.mark.filterwarnings("default")
def test_a_snippet_gives_the_best_document(
    block: Block, reranker: Reranker, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(block.package)
    assert len(block.code.strip().splitlines()) <= 22
    names: dict[str, Any] = {"__name__": "adapters", "Reranker": Reranker, "reranker": reranker}
    exec(compile(block.code, block.place, "exec"), names)
    printed = capsys.readouterr().out
    assert re.search(SECOND[block.package], printed), printed
