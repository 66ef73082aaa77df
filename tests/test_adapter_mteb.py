"""MtebReranker in mteb: its protocol, and the nano world as a retrieval task whose candidates are our own run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapters_kit import Reranked, nano

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import ScoredDocument

pytest.importorskip("mteb")
import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.models_protocols import CrossEncoderProtocol, EncoderProtocol, SearchProtocol

from reasonrank_pyserini.adapters import MtebReranker, write_top_ranked

__all__ = ["nano"]  # a fixture
CORPUS = Dataset.from_list([{"id": f"d{i}", "title": "", "text": f"text {i}"} for i in range(5)])
EVERY: dict[str, Any] = dict.fromkeys(("task_metadata", "hf_split", "hf_subset", "encode_kwargs", "num_proc"))


@pytest.fixture(scope="module")
def model() -> Iterator[MtebReranker]:
    """Puts the third of every list first, then its first."""
    with Reranker(OracleJudge({"1": {"2": 2, "0": 1}, "2": {"2": 2, "0": 1}})) as reranker:
        model = MtebReranker(reranker, "oracle/third", "v1")
        model.index(CORPUS, **EVERY)
        yield model


def test_it_is_a_search_model_and_nothing_else(model: MtebReranker) -> None:
    assert isinstance(model, SearchProtocol)
    assert not isinstance(model, CrossEncoderProtocol | EncoderProtocol)
    assert (model.mteb_model_meta.name, model.mteb_model_meta.revision) == ("oracle/third", "v1")


def test_queries_of_equal_text_stay_apart_and_top_k_counts(model: MtebReranker) -> None:
    queries = Dataset.from_list([{"id": "1", "text": "lamp"}, {"id": "2", "text": "lamp"}])
    ranked = {"1": ["d0", "d1", "d2", "d3"], "2": ["d4", "d3", "d1"]}
    found = model.search(queries, top_k=2, top_ranked=ranked, **EVERY)
    assert found == {"1": {"d2": 4.0, "d0": 3.0}, "2": {"d1": 3.0, "d4": 2.0}}


def test_a_query_without_candidates_gets_none(model: MtebReranker, caplog: pytest.LogCaptureFixture) -> None:
    queries = Dataset.from_list([{"id": "1", "text": "lamp"}, {"id": "2", "text": "lamp"}])
    assert model.search(queries, top_k=1, top_ranked={"1": ["d3"]}, **EVERY) == {"1": {"d3": 1.0}, "2": {}}
    assert "1 of 2 queries, e.g. 2, have no candidates" in caplog.text


def test_instructions_follow_the_query_and_titles_precede_the_text() -> None:
    seen: list[tuple[str, str, str]] = []

    class Reading:
        async def judge(self, query: Any, documents: Any, number: int = 0) -> Any:
            seen.extend((query.text, document.title, document.text) for document in documents)
            return await OracleJudge({}).judge(query, documents, number)

    with Reranker(Reading()) as reranker:
        model = MtebReranker(reranker, "a/b")
        records = [("d", "Oil", "brass"), ("e", None, "moth")]
        corpus = [{"id": id, "title": title, "text": text} for id, title, text in records]
        model.index(Dataset.from_list(corpus), **EVERY)
        queries = Dataset.from_list([{"id": "q", "text": "lamp", "instruction": "of brass"}])
        model.search(queries, top_k=9, top_ranked={"q": ["d", "e"]}, **EVERY)
    assert seen == [("lamp of brass", "Oil", "brass"), ("lamp of brass", "", "moth")]


def test_what_cannot_be_reranked_is_said_in_a_line(model: MtebReranker) -> None:
    queries = Dataset.from_list([{"id": "1", "text": "lamp"}])
    with pytest.raises(InputError, match=r"no candidates to rerank.*convert_to_reranking"):
        model.search(queries, top_k=9, **EVERY)
    with pytest.raises(InputError, match="'d9' of query '1' is not in the task's corpus"):
        model.search(queries, top_k=9, top_ranked={"1": ["d9"]}, **EVERY)
    turns = Dataset.from_list([{"id": "1", "text": ["lamp", "moth"]}])
    with pytest.raises(InputError, match="conversations"):
        model.search(turns, top_k=9, top_ranked={"1": ["d1"]}, **EVERY)


def task_of(nano: Reranked) -> AbsTaskRetrieval:
    """nano/test as an mteb retrieval task, made from memory."""

    class NanoWorld(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="NanoWorld", description="Queries that do not name what they are about.", type="Retrieval",
            dataset={"path": "local/nano", "revision": "1"}, eval_splits=["test"], eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )  # fmt: skip

        def load_data(self, *_: Any, **__: Any) -> None:
            corpus = [{"id": d.id, "title": d.title, "text": d.text} for d in nano.documents.values()]
            split = {
                "corpus": Dataset.from_list(corpus),
                "queries": Dataset.from_list([{"id": q.id, "text": q.text} for q in nano.queries]),
                "relevant_docs": {q: dict(grades) for q, grades in nano.qrels.items()},
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return NanoWorld()


def test_a_task_over_our_run_scores_as_rerank_many(nano: Reranked, tmp_path: Path) -> None:
    run = {id: [c.id for c in found] for id, found in nano.candidates.items()}
    write_top_ranked(tmp_path / "top.json", {"default": {"test": run}}, name="words/shared")
    task = task_of(nano).convert_to_reranking(tmp_path / "top.json", top_k=100)
    model = MtebReranker(nano.reranker, "reasonrank/nano")
    result = mteb.evaluate(model, task, cache=None, prediction_folder=tmp_path, show_progress_bar=False)
    (scores,) = result.task_results[0].scores["test"]
    assert scores["ndcg_at_10"] == pytest.approx(nano.ndcg, abs=1e-5)
    assert scores["previous_results_model_meta"]["model_name"] == "words/shared"
    written = json.loads((tmp_path / "NanoWorld_predictions.json").read_text())
    assert {id: tuple(found) for id, found in written["default"]["test"].items()} == nano.orders


def test_equal_scores_keep_their_order_in_the_file(tmp_path: Path) -> None:
    run = {"q": [ScoredDocument(id, 1.0) for id in "bac"]}
    write_top_ranked(tmp_path / "top.json", {"default": {"test": run}})
    found = json.loads((tmp_path / "top.json").read_text())["default"]["test"]["q"]
    assert sorted(found, key=lambda id: found[id], reverse=True) == ["b", "a", "c"]
    assert len(set(found.values())) == 3
