"""Dense retrieval through Pyserini: over a Faiss flat index in its layout, given or built and cached."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ..errors import InputError
from ..files.caches import cached_folder, documents_sha256
from ..files.corpora import Corpus
from ..lazy import require
from ..types import Document, Query, ScoredDocument
from .base import check_k, unique
from .encoder_options import EncoderOptions
from .encoders import Encoder, load_encoder
from .faiss_index import Progress, find_faiss_index, read_exact_ids, write_index
from .java import import_pyserini

_QUERIES = 256
"""Queries searched together, which limits the memory for their scores."""


class DenseFirstStage:
    """Nearest passages by inner product, exact, through Pyserini's FaissSearcher.

    Empty queries get an empty list. Equal scores are in the order of docids. `folder` has an index in Pyserini's
    layout; `threads` None means all processors.
    """

    def __init__(self, folder: str | Path, encoder: Encoder, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}: give at least 1")
        require("faiss", "dense retrieval")
        self.folder, self.encoder, self.threads = (
            find_faiss_index(folder),
            encoder,
            threads or os.cpu_count() or 1,
        )
        self._searcher: Any = None

    @classmethod
    def from_documents(
        cls,
        documents: str | Path | Iterable[Document],
        encoder: Encoder,
        corpus: Mapping[str, Any] | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """The stage over the cached index of `documents`, built if there is none yet.

        `documents` is a file, a folder (see `files.corpora.Corpus`) or documents that can be read twice. The key of
        the cache is the encoder's identity and the documents' sha256; `corpus`, JSON values that identify them,
        replaces the sha256 and saves reading them.
        """
        faiss = require("faiss", "dense retrieval")
        known = Corpus(documents) if isinstance(documents, str | Path) else documents
        named = dict(corpus) if corpus is not None else {"sha256": documents_sha256(known)}
        content = {"corpus": named, "encoder": dict(encoder.identity), "layout": 1}

        def build(folder: Path) -> None:
            import_pyserini(
                "pyserini.search.faiss"
            )  # if that fails, it does so before the passages are encoded
            write_index(faiss, folder, known, encoder, progress)

        return cls(cached_folder("dense", content, build), encoder, threads=threads)

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        check_k(k)
        found: list[list[ScoredDocument]] = [[] for _ in queries]
        asked = [position for position, query in enumerate(queries) if query.text.strip()]
        for start in range(0, len(asked), _QUERIES):
            positions = asked[start : start + _QUERIES]
            lists = self._search([queries[position].text for position in positions], k)
            for position, hits in zip(positions, lists, strict=True):
                found[position] = hits
        return found

    def _search(self, texts: Sequence[str], k: int) -> list[list[ScoredDocument]]:
        searcher = self._open()
        vectors = searcher.query_encoder.encode_batch(texts)
        if vectors.shape[1] != searcher.dimension:
            raise InputError(
                f"{self.folder}: the index has vectors of {searcher.dimension} numbers, the encoder gives "
                f"{vectors.shape[1]}: give the encoder that the index was built with"
            )
        names = [str(position) for position in range(len(texts))]
        hits = searcher.batch_search(vectors, names, k=min(k, searcher.num_docs), threads=self.threads)
        return [_ordered(hits[name]) for name in names]

    def _open(self) -> Any:
        if self._searcher is None:
            make = import_pyserini("pyserini.search.faiss").FaissSearcher
            searcher = make(str(self.folder), _query_encoder(self.encoder))
            searcher.docids = read_exact_ids(self.folder) or searcher.docids
            self._searcher = searcher
        return self._searcher


def open_dense(
    index: str | Path | None = None,
    corpus: str | Path | Iterable[Document] | None = None,
    *,
    identity: Mapping[str, Any] | None = None,
    encoder: EncoderOptions | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> DenseFirstStage:
    """The stage over `index` (prebuilt name or folder) or over the cached index of `corpus` (file, folder,
    documents; `identity` names them); exactly one is given."""
    if encoder is None:
        raise InputError("dense retrieval needs `encoder`, such as sentence-transformers/all-MiniLM-L6-v2")
    require("faiss", "dense retrieval")
    if (index is None) == (corpus is None):
        raise InputError("dense searches one collection: give either an index or a corpus")
    ready = load_encoder(encoder)
    if index is not None:
        return DenseFirstStage(index, ready, threads=threads)
    assert corpus is not None
    return DenseFirstStage.from_documents(corpus, ready, identity, threads=threads, progress=progress)


def _ordered(hits: Iterable[Any]) -> list[ScoredDocument]:
    scored = [ScoredDocument(hit.docid, float(hit.score)) for hit in hits]
    return unique(sorted(scored, key=lambda hit: (-hit.score, hit.id)))


def _query_encoder(encoder: Encoder) -> Any:
    """The encoder with the interface that Pyserini's searchers expect."""
    base: Any = import_pyserini("pyserini.encode").QueryEncoder

    class Adapted(base):  # type: ignore[misc]
        def encode(self, query: str, **_: Any) -> Any:
            return encoder.encode_queries([query])[0]

        def encode_batch(self, queries: Sequence[str]) -> Any:
            return encoder.encode_queries(queries)

    return Adapted()
