"""ReasonRankSearcher: any Pyserini searcher followed by reranking, with the searcher's own methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .datasets import Docstore
from .errors import InputError
from .files.document_records import document_of_raw
from .first_stages.java import check_process, restore_signals
from .ranking.candidates import as_candidates
from .reranker import Reranker
from .types import Document, Query, Ranking


@dataclass(frozen=True, slots=True)
class RerankedHit:
    """A Pyserini hit after reranking: `score` decreases strictly with the rank, all else is the original hit's."""

    docid: str
    score: float
    hit: Any

    def __getattr__(self, name: str) -> Any:
        if name == "searcher" or name.startswith("__"):  # copy and pickle look these up before __init__
            raise AttributeError(name)
        return getattr(self.hit, name)


class ReasonRankSearcher:
    """A searcher whose results are reranked: `search` and `batch_search` as in Pyserini.

    `searcher` is any Pyserini searcher (LuceneSearcher, FaissSearcher, LuceneImpactSearcher, ...). Texts come
    from its hits, from its `doc()`, or from `documents` (needed for dense searchers). `depth` candidates
    are fetched and the first `reranker.depth` of them reranked; asking for more than `depth` hits fetches more.
    """

    def __init__(
        self, searcher: Any, reranker: Reranker, *, depth: int = 100, documents: Docstore | None = None
    ) -> None:
        self.searcher, self.reranker, self.depth, self.documents = searcher, reranker, depth, documents
        restore_signals()  # the user's own Pyserini may have started a JVM that swallows Ctrl-C

    def search(self, q: str, k: int = 10, **arguments: Any) -> list[RerankedHit]:
        """The best `k` hits after reranking, best first; further arguments go to the first stage."""
        self._check_process()
        hits = self.searcher.search(q, k=max(k, self.depth), **arguments)
        ranking = self.reranker.rerank(Query("0", q), as_candidates(hits, self._texts(hits)))
        return _hits(ranking, hits)[:k]

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1, **arguments: Any
    ) -> dict[str, list[RerankedHit]]:
        """The best `k` hits of each query by its id, in the order of `qids`; queries without hits have []."""
        if len(queries) != len(qids) or len(set(qids)) != len(qids):
            raise InputError(
                f"{len(queries)} queries and {len(set(qids))} distinct ids: give one id per query"
            )
        self._check_process()
        found: Mapping[str, Any] = self.searcher.batch_search(
            list(queries), list(qids), k=max(k, self.depth), threads=threads, **arguments
        )
        requests = (
            (Query(qid, text), as_candidates(hits, self._texts(hits)))
            for qid, text in zip(qids, queries, strict=True)
            if (hits := list(found.get(qid) or ()))
        )
        ranked = {ranking.query.id: ranking for ranking in self.reranker.rerank_many(requests)}
        return {qid: _hits(ranked[qid], found[qid])[:k] if qid in ranked else [] for qid in qids}

    def _check_process(self) -> None:
        if type(self.searcher).__module__.startswith("pyserini.search.lucene"):
            check_process()

    def _texts(self, hits: Sequence[Any]) -> Docstore | None:
        return self.documents if self.documents is not None else _SearcherTexts(self.searcher)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.searcher, name)


class _SearcherTexts:
    """A searcher's stored documents as a docstore; empty for a searcher that stores none."""

    def __init__(self, searcher: Any) -> None:
        self.searcher = searcher

    def get_many(self, ids: Any) -> dict[str, Document]:
        lookup = getattr(self.searcher, "doc", None)
        if lookup is None:
            return {}
        found = {}
        for id in ids:
            stored = lookup(id)
            raw = stored and (stored.raw() or stored.contents())
            if raw:
                found[id] = document_of_raw(id, str(raw))
        return found

    def __iter__(self) -> Any:
        raise InputError("a searcher's documents cannot be listed: use the documents of its index")


def _hits(ranking: Ranking, hits: Sequence[Any]) -> list[RerankedHit]:
    originals = {str(hit.docid): hit for hit in reversed(list(hits))}
    count = len(ranking.candidates)
    return [RerankedHit(id, float(count - rank), originals[id]) for rank, id in enumerate(ranking.ids)]
