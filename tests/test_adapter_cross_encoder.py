"""ReasonRankCrossEncoder: CrossEncoder's own signatures, and its reranking evaluator on nano's world."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from adapters_kit import Reranked, nano
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.adapters import ReasonRankCrossEncoder
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

__all__ = ["nano"]  # a fixture


@pytest.fixture(scope="module")
def model() -> Iterator[ReasonRankCrossEncoder]:
    """Puts the third of every list first, then its first."""
    with Reranker(OracleJudge({str(query): {"2": 2, "0": 1} for query in (1, 2)})) as reranker:
        yield ReasonRankCrossEncoder(reranker)


@pytest.mark.parametrize("method", ["rank", "predict"])
def test_a_call_of_a_cross_encoder_is_taken(method: str) -> None:
    ours = inspect.signature(getattr(ReasonRankCrossEncoder, method)).parameters
    theirs = inspect.signature(getattr(CrossEncoder, method)).parameters
    own = [name for name in ours if name != "_"]
    assert [(name, ours[name].default) for name in own] == [(name, theirs[name].default) for name in own]
    assert "_" in ours


def test_rank(model: ReasonRankCrossEncoder) -> None:
    found = model.rank("lamp", ["a", "b", "c", "d"], batch_size=8)
    assert found == [
        {"corpus_id": 2, "score": 4 / 4}, {"corpus_id": 0, "score": 3 / 4},
        {"corpus_id": 1, "score": 2 / 4}, {"corpus_id": 3, "score": 1 / 4},
    ]  # fmt: skip
    assert model.rank("lamp", ["a", "a", "a"], 1, True) == [{"corpus_id": 2, "score": 1.0, "text": "a"}]
    assert model.rank("lamp", []) == []


def test_predict_ranks_the_pairs_of_each_query_text(model: ReasonRankCrossEncoder) -> None:
    pairs = [("x", "a"), ("y", "a"), ("x", "b"), ("x", "c"), ("y", "b"), ["x", "c"]]
    found = model.predict(pairs, show_progress_bar=False)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([3 / 4, 2 / 2, 2 / 4, 4 / 4, 1 / 2, 1 / 4])


def test_predict_returns_what_is_asked_for(model: ReasonRankCrossEncoder) -> None:
    pairs = [("x", "a"), ("x", "b")]
    assert torch.equal(model.predict(pairs, convert_to_tensor=True), torch.tensor([1.0, 0.5]))
    assert model.predict(pairs, convert_to_numpy=False) == [torch.tensor(1.0), torch.tensor(0.5)]
    assert model.predict(("x", "a")) == 1.0
    assert model.predict([]).shape == (0,)


def test_what_is_not_text_is_refused(model: ReasonRankCrossEncoder) -> None:
    with pytest.raises(InputError, match="text"):
        model.rank("lamp", [{"image": "a.png"}])  # type: ignore[list-item]


def test_the_reranking_evaluator_gives_the_scores_of_rerank_many(nano: Reranked) -> None:
    samples = [
        {
            "query": query.text,
            "positive": [
                c.document.text for c in nano.candidates[query.id] if nano.qrels[query.id].get(c.id)
            ],
            "documents": [c.document.text for c in nano.candidates[query.id]],
        }
        for query in nano.queries
    ]
    evaluator = CrossEncoderRerankingEvaluator(samples, at_k=10, always_rerank_positives=False)
    found = evaluator(ReasonRankCrossEncoder(nano.reranker))
    judged = {
        query: {id: 1 for id in nano.orders[query] if grades.get(id)} for query, grades in nano.qrels.items()
    }
    assert found["ndcg@10"] == pytest.approx(nano.ndcg_by(judged), abs=1e-6)
    assert found["ndcg@10"] > found["base_ndcg@10"]
