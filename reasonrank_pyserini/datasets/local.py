"""Test collections from local files: any of corpus, topics and qrels, or a BEIR folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ..errors import InputError, UnknownNameError
from ..files.beir import find_file, find_qrels, need_file
from ..files.corpora import Corpus
from ..files.excluded import read_excluded
from ..files.topics import read_topics, topic_fields
from ..runfile import read_qrels
from ..types import Query
from . import passage_tokens


class LocalDataset:
    """A Dataset of files; InputError when a part that was not given is needed.

    `excluded` is a file of lines `query docid`. The variants are the other text fields of JSONL topics.
    """

    def __init__(
        self,
        corpus: str | Path | None = None,
        topics: str | Path | None = None,
        qrels: str | Path | None = None,
        excluded: str | Path | None = None,
        *,
        id: str = "local",
        passage_tokens: int | None = None,
    ) -> None:
        self._id, self._passage_tokens = id, passage_tokens
        self._corpus, self._topics, self._qrels, self._excluded = corpus, topics, qrels, excluded

    @property
    def id(self) -> str:
        return self._id

    @property
    def passage_tokens(self) -> int | None:
        return self._passage_tokens

    @cached_property
    def documents(self) -> Corpus:
        return Corpus(self._given("corpus", self._corpus))

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        path = self._given("topics", self._topics)
        if variant is not None and variant not in self.variants():
            raise UnknownNameError(f"query variant of {path}", variant, self.variants())
        return read_topics(path, variant)

    def variants(self) -> tuple[str, ...]:
        return topic_fields(self._given("topics", self._topics))

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        _check_kind(self.id, kind)
        return read_qrels(self._given("qrels", self._qrels))

    def excluded(self, query_id: str) -> frozenset[str]:
        return self._exclusions.get(query_id, frozenset())

    @cached_property
    def _exclusions(self) -> dict[str, frozenset[str]]:
        return {} if self._excluded is None else read_excluded(self._excluded)

    def _given(self, what: str, path: str | Path | None) -> str | Path:
        if path is None:
            raise InputError(f"the data set has no {what}: give a file as `{what}`")
        return path


class BeirDataset:
    """A Dataset of a BEIR folder; its queries are those judged in `qrels/<split>.tsv` if that exists."""

    def __init__(self, folder: str | Path, split: str = "test") -> None:
        self._folder, self._split = Path(folder), split
        need_file(self._folder, "corpus.jsonl")

    @property
    def id(self) -> str:
        return f"folder/{self._folder.resolve().name}/{self._split}"

    @property
    def passage_tokens(self) -> int | None:
        return passage_tokens("beir/")

    @cached_property
    def documents(self) -> Corpus:
        return Corpus(need_file(self._folder, "corpus.jsonl"))

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        path = need_file(self._folder, "queries.jsonl")
        if variant is not None and variant not in self.variants():
            raise UnknownNameError(f"query variant of {path}", variant, self.variants())
        queries = read_topics(path, variant)
        if find_file(self._folder / "qrels", f"{self._split}.tsv") is None:
            return queries
        judged = self.qrels()
        return [query for query in queries if query.id in judged]

    def variants(self) -> tuple[str, ...]:
        return topic_fields(need_file(self._folder, "queries.jsonl"))

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        _check_kind(self.id, kind)
        return read_qrels(find_qrels(self._folder, self._split), beir=True)

    def excluded(self, query_id: str) -> frozenset[str]:
        return frozenset()


def _check_kind(id: str, kind: str) -> None:
    if kind != "plain":
        raise UnknownNameError(f"qrels kind of {id}", kind, ["plain"])
