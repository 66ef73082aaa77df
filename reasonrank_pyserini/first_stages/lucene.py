"""BM25 and query-side BM25 through Pyserini's Lucene engine, Anserini."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import InputError, ReasonRankError, UnknownNameError
from ..types import Document, Query, ScoredDocument
from .base import Excluded, check_k, unique, without
from .java.anserini import java_list, java_reason, open_index
from .java.output import java_output
from .lucene_docstore import LuceneDocstore
from .lucene_index import build_index
from .prebuilt import find_index

__all__ = ["LuceneDocstore", "LuceneFirstStage", "build_index", "open_lucene"]

METHODS = ("bm25", "bm25q")
_BATCH = 8
"""Queries per thread in one call into Java, which Ctrl-C cannot interrupt."""


class LuceneFirstStage:
    """Searches a Lucene index: an index folder or the name of a Pyserini prebuilt index.

    `method` is `bm25`, or `bm25q`: the query's terms are weighted by BM25 as well (Pyserini's `--bm25qs`, the
    BM25 of BRIGHT). `k1` and `b` are used for every index; Pyserini's tuned values for MS MARCO are not. Scores
    are Pyserini's, where Anserini separates ties by 1e-6 in the order of docids. `excluded` gives the docids that
    must not be retrieved for a query; they are removed before the list is cut to `k`. Thread-safe; a context
    manager that closes the index.
    """

    def __init__(
        self,
        index: str | Path,
        *,
        method: str = "bm25",
        k1: float = 0.9,
        b: float = 0.4,
        threads: int | None = None,
        excluded: Excluded | Mapping[str, Collection[str]] | None = None,
    ) -> None:
        _check_settings(method, k1, b, threads)
        self.index, self.method, self.k1, self.b = str(index), method, k1, b
        self.threads = threads or os.cpu_count() or 1
        self.folder = find_index(index)
        self._searcher, self._reader = open_index(self.folder)
        self._searcher.set_bm25(k1, b)
        self._generator = _generator(method, k1, b, self._reader)
        self._size = int(self._reader.numDocs())
        self._filtered = without(_Search(self), excluded) if excluded is not None else None

    @classmethod
    def from_documents(
        cls,
        documents: str | Path | Iterable[Document],
        corpus: Mapping[str, Any] | None = None,
        *,
        method: str = "bm25",
        k1: float = 0.9,
        b: float = 0.4,
        threads: int | None = None,
        excluded: Excluded | Mapping[str, Collection[str]] | None = None,
    ) -> Self:
        """The stage over the cached index of a corpus, built if there is none yet.

        `documents` and `corpus`, the identity of the documents, are the arguments of `build_index`.
        """
        _check_settings(method, k1, b, threads)
        index = build_index(documents, corpus, threads=threads)
        return cls(index, method=method, k1=k1, b=b, threads=threads, excluded=excluded)

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        check_k(k)
        return (self._filtered or _Search(self)).candidates(queries, k)

    def search(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        """Like `candidates`, but with excluded documents."""
        found: list[list[ScoredDocument]] = [[] for _ in queries]
        asked = [position for position, query in enumerate(queries) if query.text.strip()]
        depth = min(k, self._size)
        step = _BATCH * self.threads
        for start in range(0, len(asked) if depth else 0, step):
            positions = asked[start : start + step]
            for position, hits in zip(
                positions, self._batch([queries[p] for p in positions], depth), strict=True
            ):
                found[position] = hits
        return found

    def close(self) -> None:
        """Close the index; it cannot be searched afterwards."""
        self._searcher.close()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batch(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        from jnius import JavaException

        texts, keys = java_list(query.text for query in queries), java_list(map(str, range(len(queries))))
        try:
            found = self._searcher.batch_search(self._generator, texts, keys, k, self.threads)
        except JavaException:  # this does not say which query failed, or why
            java_output().take()
            return [self._one(query, k) for query in queries]
        hits = [found.get(str(key)) for key in range(len(queries))]
        return [
            self._one(query, k) if one is None else _scored(one)
            for query, one in zip(queries, hits, strict=True)
        ]

    def _one(self, query: Query, k: int) -> list[ScoredDocument]:
        from jnius import JavaException

        try:
            text = java_list([query.text]).get(0)
            return _scored(self._searcher.search(self._generator, text, k))
        except JavaException as error:
            said = java_output().take()
            raise ReasonRankError(
                f"query {query.id!r} cannot be searched in {self.index}: {java_reason(error, said)}"
            ) from error


class _Search:
    """The stage without its exclusions."""

    def __init__(self, stage: LuceneFirstStage) -> None:
        self.candidates = stage.search


def open_lucene(
    index: str | Path | None = None,
    corpus: str | Path | Iterable[Document] | None = None,
    *,
    identity: Mapping[str, Any] | None = None,
    method: str = "bm25",
    k1: float = 0.9,
    b: float = 0.4,
    threads: int | None = None,
    excluded: Excluded | Mapping[str, Collection[str]] | None = None,
) -> LuceneFirstStage:
    """The stage over `index` (prebuilt name or folder) or over the cached index of `corpus` (file, folder,
    documents; `identity` as in `build_index`); exactly one of them is given."""
    if index is not None and corpus is None:
        return LuceneFirstStage(index, method=method, k1=k1, b=b, threads=threads, excluded=excluded)
    if corpus is None or index is not None:
        raise InputError(f"{method} searches one collection: give either an index or a corpus")
    return LuceneFirstStage.from_documents(
        corpus, identity, method=method, k1=k1, b=b, threads=threads, excluded=excluded
    )


def _check_settings(method: str, k1: float, b: float, threads: int | None) -> None:
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    if not 0 <= k1 < float("inf"):
        raise InputError(f"k1 is {k1}: BM25 takes a number from 0 up, such as 0.9")
    if not 0 <= b <= 1:
        raise InputError(f"b is {b}: BM25 takes a number from 0 to 1, such as 0.4")
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: give at least 1")


def _generator(method: str, k1: float, b: float, reader: Any) -> Any:
    from jnius import autoclass

    if method == "bm25":
        return autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
    return autoclass("io.anserini.search.query.QuerySideBm25QueryGenerator")(k1, b, reader)


def _scored(hits: Iterable[Any]) -> list[ScoredDocument]:
    return unique(ScoredDocument(hit.docid, hit.score) for hit in hits)
