"""The nano world behind a first stage, and its reranking by `rerank_many`: what every adapter must give too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from reasonrank_pyserini import Document, Query, Reranker, load_dataset
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import Candidate, ScoredDocument

TOPICS, DEPTH = 6, 20


@dataclass(frozen=True)
class Reranked:
    """Queries with their candidates, and the docids of each in the order that `rerank_many` gives."""

    reranker: Reranker
    queries: tuple[Query, ...]
    candidates: Mapping[str, tuple[Candidate, ...]]
    orders: Mapping[str, tuple[str, ...]]
    qrels: Mapping[str, Mapping[str, int]]

    @property
    def documents(self) -> dict[str, Document]:
        return {c.id: c.document for found in self.candidates.values() for c in found}

    @property
    def ndcg(self) -> float:
        """nDCG@10 of `rerank_many`'s orders."""
        return self.ndcg_by(self.qrels)

    def ndcg_by(self, qrels: Mapping[str, Mapping[str, int]]) -> float:
        """The same by other judgements."""
        run = {
            id: [ScoredDocument(docid, -float(rank)) for rank, docid in enumerate(docids)]
            for id, docids in self.orders.items()
        }
        return score(qrels, run, ["nDCG@10"]).means["nDCG@10"]


def _first_stage(query: Query, texts: Mapping[Document, set[str]]) -> tuple[Candidate, ...]:
    """The documents that share the most words with the query."""
    shared = {document: float(len(words & set(query.text.split()))) for document, words in texts.items()}
    best = sorted(shared, key=lambda document: -shared[document])[:DEPTH]
    return tuple(Candidate(document, shared[document], rank) for rank, document in enumerate(best, 1))


@pytest.fixture(scope="module")
def nano() -> Iterator[Reranked]:
    """The first topics of nano/test, candidates of a first stage, and the shipped toy model."""
    dataset = load_dataset("nano/test")
    queries = tuple(dataset.queries()[:TOPICS])
    texts = {document: set(document.text.split()) for document in dataset.documents}
    candidates = {query.id: _first_stage(query, texts) for query in queries}
    qrels = {query.id: dataset.qrels()[query.id] for query in queries}
    with Reranker.from_pretrained("nano", depth=DEPTH, engine_args={"batch_size": 32}) as reranker:
        rankings = reranker.rerank_many((query, candidates[query.id]) for query in queries)
        orders = {ranking.query.id: ranking.ids for ranking in rankings}
        yield Reranked(reranker, queries, candidates, orders, qrels)
