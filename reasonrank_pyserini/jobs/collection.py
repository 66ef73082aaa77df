"""The collection options of several commands: --dataset, --index, --corpus, --topics, --excluded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import InputError, UnknownNameError
from ..lazy import resolve

if TYPE_CHECKING:
    from ..datasets import Dataset, Docstore
    from ..first_stages.base import Excluded
    from ..types import Query

PYSERINI = {
    "documents": "reasonrank_pyserini.first_stages.lucene_docstore:LuceneDocstore",
    "topics": "reasonrank_pyserini.first_stages.pyserini_topics:pyserini_topics",
}
"""What Pyserini gives a collection: the documents stored in an index, topics by key."""

SOURCES = ("dataset", "index", "corpus")
_TOPIC_FILES = (".tsv", ".txt", ".json", ".jsonl", ".gz", ".trec", ".topics")

_F = TypeVar("_F", bound=Callable[..., Any])


def corpus_options(command: _F) -> _F:
    """Adds the options that `open_collection` reads."""
    options = (
        click.option("--dataset", metavar="ID", help="Test collection: see `reasonrank datasets`."),
        click.option("--index", metavar="NAME|DIR", help="Prebuilt Pyserini index or an index folder."),
        click.option("--corpus", metavar="FILE", help="JSONL with id and contents, or title and text."),
        click.option("--topics", metavar="KEY|FILE", help="TSV or JSONL topics, or a Pyserini key (dl20)."),
        click.option("--excluded", metavar="FILE", help="Lines 'query docid': documents to leave out."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def open_collection(flags: Mapping[str, Any]) -> Collection:
    """The collection that the flags name; InputError unless exactly one of dataset, index and corpus is there."""
    given = [name for name in SOURCES if flags.get(name) is not None]
    if len(given) > 1:
        raise InputError(
            f"{' and '.join(f'--{name}' for name in given)} exclude each other: give one of them"
        )
    if not given:
        raise InputError("no collection: give one of --dataset ID, --index NAME or --corpus FILE")
    values = {name: flags.get(name) for name in (*SOURCES, "topics", "query_variant", "excluded")}
    return Collection(
        **{f"{name}_flag": None if value is None else str(value) for name, value in values.items()}
    )


@dataclass(frozen=True)
class Collection:
    """What the collection options name; everything is read when it is asked for, and once."""

    dataset_flag: str | None = None
    index_flag: str | None = None
    corpus_flag: str | None = None
    topics_flag: str | None = None
    query_variant_flag: str | None = None
    excluded_flag: str | None = None

    @property
    def name(self) -> str:
        """What the user called it."""
        return str(self.dataset_flag or self.index_flag or self.corpus_flag)

    @cached_property
    def dataset(self) -> Dataset | None:
        from ..datasets import load_dataset

        return None if self.dataset_flag is None else load_dataset(self.dataset_flag)

    @property
    def passage_tokens(self) -> int | None:
        """How long the data set wants passages shown, if it says so."""
        return None if self.dataset is None else self.dataset.passage_tokens

    def topics(self) -> Sequence[Query]:
        """The queries of --topics, else those of the data set; InputError when there are neither."""
        return self._topics

    def documents(self) -> Docstore:
        """The texts: of the data set, of the corpus, or as stored in the index."""
        return self._documents

    @cached_property
    def excluded(self) -> Excluded | None:
        """The data set's exclusions and those of --excluded together; None when there are none."""
        from ..files.excluded import read_excluded
        from ..first_stages.base import lookup

        listed = None if self.excluded_flag is None else lookup(read_excluded(self.excluded_flag))
        own = None if self.dataset is None else self.dataset.excluded
        if listed is None or own is None:
            return listed or own
        return lambda query_id: frozenset(listed(query_id)) | own(query_id)

    @property
    def identity(self) -> dict[str, Any] | None:
        """A name for the data set's documents that saves hashing them; None when there is none."""
        from ..datasets import documents_identity

        return None if self.dataset is None else documents_identity(self.dataset)

    def rename(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Docids in castorini's style to the data set's own; empty where nothing has to change."""
        own = getattr(self.dataset, "hub_ids", None)
        found: Mapping[str, str] = own(ids) if own is not None else {}
        return found

    def hashes(self) -> dict[str, str]:
        """For a manifest: sha256 of the given files, and the names of what is no file."""
        from ..files.caches import file_sha256

        given = {
            "dataset": self.dataset_flag,
            "index": self.index_flag,
            "corpus": self.corpus_flag,
            "topics": self.topics_flag,
            "query_variant": self.query_variant_flag,
            "excluded": self.excluded_flag,
        }
        named = {kind: name for kind, name in given.items() if name is not None}
        return {kind: file_sha256(name) if Path(name).is_file() else name for kind, name in named.items()}

    @cached_property
    def _topics(self) -> Sequence[Query]:
        if self.topics_flag is not None:
            return read_topics_flag(self.topics_flag, self.query_variant_flag)
        if self.dataset is not None:
            return self.dataset.queries(self.query_variant_flag)
        raise InputError("no queries: add --topics FILE (lines id<TAB>text) or a Pyserini key such as dl20")

    @cached_property
    def _documents(self) -> Docstore:
        from ..files.corpora import Corpus

        if self.dataset is not None:
            return self.dataset.documents
        if self.corpus_flag is not None:
            return Corpus(self.corpus_flag)
        stored: Docstore = resolve("document source", "documents", PYSERINI)(self.index_flag)
        return stored


def read_topics_flag(topics: str, variant: str | None = None) -> Sequence[Query]:
    """The topics of a file, or those that Pyserini knows under the key; a name that looks like a file is one."""
    from ..files.topics import read_topics

    if os.path.exists(topics) or "/" in topics or topics.endswith(_TOPIC_FILES):
        return read_topics(topics, variant)
    if variant is not None:
        raise InputError(f"--query-variant {variant} needs a data set or a topics file, not a Pyserini key")
    try:
        found: Sequence[Query] = resolve("topics source", "topics", PYSERINI)(topics)
    except UnknownNameError as error:
        beside = difflib.get_close_matches(topics, os.listdir(), n=1, cutoff=0.8)
        if not beside:
            raise
        raise InputError(f"there is no topics file {topics}: did you mean {beside[0]}?") from error
    return found
