"""A collection as a request names it: passage texts, queries, documents that must not count."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Collection as Ids
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError, UnknownNameError
from ..files.given_records import as_query
from ..lazy import resolve
from ..types import Document, Query

if TYPE_CHECKING:
    from ..datasets import Dataset, Docstore
    from ..first_stages.base import Excluded, FirstStage
    from ..first_stages.opening import SearchOptions

PYSERINI = {
    "documents": "reasonrank_pyserini.first_stages.lucene_docstore:LuceneDocstore",
    "topics": "reasonrank_pyserini.first_stages.pyserini_topics:pyserini_topics",
}
"""What Pyserini gives a collection: the documents stored in an index, topics by key."""

_TOPIC_FILES = (".tsv", ".txt", ".json", ".jsonl", ".gz", ".trec", ".topics")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRequest:
    """Where passages and queries come from; one of `dataset`, `index` and `corpus` gives the passages.

    `dataset`: an id of `load_dataset` or a Dataset. `index`: a Pyserini prebuilt index or an index folder. `corpus`:
    a JSONL file or a folder of them, a docstore, or a sequence of Documents. `topics`: a file, a Pyserini key, or
    Queries; None takes the data set's, in the `query_variant`. `excluded`: documents to leave out, as a file with
    lines `query docid` or docids by query id, in addition to the data set's own.
    """

    dataset: str | Path | Dataset | None = None
    index: str | Path | None = None
    corpus: str | Path | Docstore | Sequence[Document] | None = None
    topics: str | Path | Sequence[Query] | None = None
    query_variant: str | None = None
    excluded: str | Path | Mapping[str, Ids[str]] | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Which of dataset, index and corpus are given."""
        return tuple(name for name in ("dataset", "index", "corpus") if getattr(self, name) is not None)


def open_collection(request: CollectionRequest) -> Collection:
    """The collection of the request; InputError unless exactly one of dataset, index and corpus is given."""
    named = request.named
    if len(named) > 1:
        raise InputError(
            f"{' and '.join(f'`{name}`' for name in named)} exclude each other: give one of them"
        )
    if not named:
        raise InputError("no collection: give one of `dataset` ID, `index` NAME or `corpus` FILE")
    return Collection(request)


class Collection:
    """What a request names; everything is read when it is first needed, and once."""

    def __init__(self, request: CollectionRequest) -> None:
        self.request = request

    @property
    def name(self) -> str:
        """What the user called it."""
        asked = self.request
        for given in (asked.dataset, asked.index, asked.corpus):
            if given is not None:
                return (
                    str(given) if isinstance(given, str | Path) else str(getattr(given, "id", "the corpus"))
                )
        return ""

    @cached_property
    def dataset(self) -> Dataset | None:
        from ..datasets import load_dataset

        given = self.request.dataset
        return load_dataset(given) if isinstance(given, str | Path) else given

    @property
    def passage_tokens(self) -> int | None:
        """How many tokens of a passage the data set wants shown, if it says so."""
        return None if self.dataset is None else self.dataset.passage_tokens

    def topics(self) -> Sequence[Query]:
        """The queries that were given, else those of the data set; InputError when there are neither."""
        return self._topics

    def documents(self) -> Docstore:
        """The texts: of the data set, of the corpus, or as stored in the index."""
        return self._documents

    @cached_property
    def excluded(self) -> Excluded | None:
        """The data set's exclusions and the request's together; None when there are none."""
        from ..files.excluded import read_excluded
        from ..first_stages.base import lookup

        given = self.request.excluded
        by_query = read_excluded(given) if isinstance(given, str | Path) else given
        listed = None if by_query is None else lookup(by_query)
        own = None if self.dataset is None else self.dataset.excluded
        if listed is None or own is None:
            return listed or own
        return lambda query_id: frozenset(listed(query_id)) | own(query_id)

    @property
    def identity(self) -> dict[str, Any] | None:
        """A name for the data set's documents that saves hashing them; None when there is none."""
        from ..datasets import documents_identity

        return None if self.dataset is None else documents_identity(self.dataset)

    def stage(
        self, method: str, search: SearchOptions, progress: Callable[[int], object] | None = None
    ) -> FirstStage:
        """The first stage of that method over the index, or over one made of the documents; see `open_stage`."""
        from ..first_stages.opening import open_stage

        index = self.request.index
        documents = self.documents() if index is None else None
        return open_stage(
            method, search, documents=documents, index=index, identity=self.identity, progress=progress
        )

    def rename(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Docids in castorini's style to the data set's own; empty where nothing has to change."""
        own = getattr(self.dataset, "hub_ids", None)
        found: Mapping[str, str] = own(ids) if own is not None else {}
        return found

    def hashes(self) -> dict[str, str]:
        """For a manifest: sha256 of the given files and objects, and the names of everything else.

        Documents without a `sha256` of their own are all read for it.
        """
        asked = self.request
        given = {
            "dataset": asked.dataset if isinstance(asked.dataset, str | Path) else self._dataset_id,
            "index": asked.index,
            "corpus": asked.corpus if isinstance(asked.corpus, str | Path) else self._corpus_sha256,
            "topics": asked.topics if isinstance(asked.topics, str | Path) else self._topics_sha256,
            "query_variant": asked.query_variant,
            "excluded": asked.excluded if isinstance(asked.excluded, str | Path) else self._excluded_sha256,
        }
        return {kind: _hash(value) for kind, value in given.items() if value is not None}

    @property
    def _dataset_id(self) -> str | None:
        return None if self.dataset is None else self.dataset.id

    @property
    def _corpus_sha256(self) -> str | None:
        from ..files.caches import documents_sha256

        return None if self.request.corpus is None else documents_sha256(self._documents)

    @property
    def _topics_sha256(self) -> str | None:
        from ..files.caches import fingerprint

        if self.request.topics is None:
            return None
        return fingerprint({"topics": [[query.id, query.text] for query in self._topics]})

    @property
    def _excluded_sha256(self) -> str | None:
        from ..files.caches import fingerprint

        given = self.request.excluded
        if given is None or isinstance(given, str | Path):
            return None
        return fingerprint({query: sorted(ids) for query, ids in given.items()})

    @cached_property
    def _topics(self) -> Sequence[Query]:
        given, variant = self.request.topics, self.request.query_variant
        if isinstance(given, str | Path):
            return read_topics_or_key(given, variant)
        if given is not None:
            if variant is not None:
                raise InputError(f"`query_variant` {variant} needs a data set or a topics file, not queries")
            return [as_query(query, str(place)) for place, query in enumerate(given, 1)]
        if self.dataset is not None:
            return self.dataset.queries(variant)
        raise InputError("no queries: add `topics` FILE (lines id<TAB>text) or a Pyserini key such as dl20")

    @cached_property
    def _documents(self) -> Docstore:
        from ..datasets.memory_documents import MemoryDocuments
        from ..files.corpora import Corpus

        if self.dataset is not None:
            return self.dataset.documents
        given = self.request.corpus
        if isinstance(given, str | Path):
            return Corpus(given)
        if given is not None:
            known = hasattr(given, "get_many")
            return cast("Docstore", given) if known else MemoryDocuments(cast("Sequence[Document]", given))
        stored: Docstore = resolve("document source", "documents", PYSERINI)(self.request.index)
        return stored


def read_topics_or_key(topics: str | Path, variant: str | None = None) -> Sequence[Query]:
    """The topics of a file, or those that Pyserini knows under the key; a name that looks like a file is one."""
    from ..files.topics import read_topics

    name = str(topics)
    if isinstance(topics, Path) or os.path.exists(name) or "/" in name or name.endswith(_TOPIC_FILES):
        return read_topics(name, variant)
    if variant is not None:
        raise InputError(f"`query_variant` {variant} needs a data set or a topics file, not a Pyserini key")
    try:
        found: Sequence[Query] = resolve("topics source", "topics", PYSERINI)(name)
    except UnknownNameError as error:
        similar = difflib.get_close_matches(name, os.listdir(), n=1, cutoff=0.8)
        if not similar:
            raise
        raise InputError(f"there is no topics file {name}: did you mean {similar[0]}?") from error
    return found


def _hash(given: str | Path) -> str:
    """The sha256 of a file; a name as it is."""
    from ..files.caches import file_sha256

    return file_sha256(given) if Path(given).is_file() else str(given)
