"""A Pyserini pipeline that gains a stage: real Lucene, real searcher, an oracle in place of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini import ReasonRankSearcher, Reranker
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.first_stages.java import import_pyserini
from reasonrank_pyserini.first_stages.lucene_index import build_index
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

PASSAGES = {f"p {i}": f"lamp number {i} " + "lamp " * (30 - i) for i in range(30)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": id, "contents": text}) + "\n" for id, text in PASSAGES.items()))
    return path


@pytest.fixture(scope="module")
def searcher(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REASONRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        index = build_index(corpus)
    lucene = import_pyserini().LuceneSearcher(str(index))
    yield lucene
    lucene.close()


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    qrels = {"0": {"p 25": 2, "p 20": 1}, "a": {"p 3": 1}}
    with Reranker(OracleJudge(qrels)) as reranker:
        yield reranker


def test_search_gives_reranked_hits_in_pyserinis_shape(searcher: Any, reranker: Reranker) -> None:
    stage = ReasonRankSearcher(searcher, reranker)
    hits = stage.search("lamp", k=5)
    assert [hit.docid for hit in hits[:2]] == ["p 25", "p 20"]
    assert len(hits) == 5
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert json.loads(hits[0].lucene_document.get("raw"))["contents"] == PASSAGES["p 25"]
    first = [hit.docid for hit in searcher.search("lamp", k=30)]
    assert sorted(first) == sorted(hit.docid for hit in stage.search("lamp", k=30))


def test_batch_search_keeps_ids_and_queries_without_hits(searcher: Any, reranker: Reranker) -> None:
    found = ReasonRankSearcher(searcher, reranker).batch_search(
        ["lamp", "zebra", "lamp"], ["a", "none", "0"], k=3, threads=2
    )
    assert list(found) == ["a", "none", "0"]
    assert (found["a"][0].docid, found["none"], found["0"][0].docid) == ("p 3", [], "p 25")


def test_hits_without_texts_take_them_from_the_docstore(
    searcher: Any, reranker: Reranker, corpus: Path
) -> None:
    class Dense:
        """A searcher whose hits carry no text, as dense ones do."""

        class Hit:
            def __init__(self, docid: str, score: float) -> None:
                self.docid, self.score = docid, score

        def search(self, q: str, k: int) -> list[Hit]:
            return [self.Hit(hit.docid, hit.score) for hit in searcher.search(q, k=k)]

    stage = ReasonRankSearcher(Dense(), reranker, documents=Corpus(corpus))
    assert stage.search("lamp", k=1)[0].docid == "p 25"
    with pytest.raises(InputError, match="give documents="):
        ReasonRankSearcher(Dense(), reranker).search("lamp")


def test_the_rest_of_the_searcher_stays_reachable(searcher: Any, reranker: Reranker) -> None:
    assert ReasonRankSearcher(searcher, reranker).num_docs == len(PASSAGES)


def test_one_id_per_query(searcher: Any, reranker: Reranker) -> None:
    with pytest.raises(InputError, match="one id per query"):
        ReasonRankSearcher(searcher, reranker).batch_search(["lamp"], ["a", "b"])
