"""The nano world as test collections: train, validation and test over one corpus, test-settings over a larger one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from ...errors import UnknownNameError
from ...types import Query
from ..memory_documents import MemoryDocuments
from .world import DATASETS, World


def load(name: str) -> NanoDataset:
    """The split with that id; UnknownNameError for any other."""
    if name.lower() not in DATASETS:
        raise UnknownNameError("dataset", name, DATASETS, "list them: reasonrank datasets")
    return NanoDataset(name.lower().removeprefix("nano/"))


class NanoDataset:
    """A Dataset of one split of the nano world; nothing is read or downloaded."""

    def __init__(self, split: str) -> None:
        self._split = split

    @property
    def id(self) -> str:
        return f"nano/{self._split}"

    @property
    def passage_tokens(self) -> int | None:
        return None

    @cached_property
    def documents(self) -> MemoryDocuments:
        return MemoryDocuments(World.load().corpus(self._split))

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        if variant is not None:
            raise UnknownNameError(f"query variant of {self.id}", variant, self.variants())
        return [Query(topic.id, topic.text) for topic in World.load().topics(self._split)]

    def variants(self) -> tuple[str, ...]:
        return ()

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        """The documents that name the query's concept in its setting, grade 1."""
        if kind != "plain":
            raise UnknownNameError(f"qrels kind of {self.id}", kind, ["plain"])
        return World.load().qrels(self._split)

    def excluded(self, query_id: str) -> frozenset[str]:
        return frozenset()
