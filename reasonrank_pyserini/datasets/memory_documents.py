"""Documents by id, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from ..errors import InputError
from ..files.caches import documents_sha256
from ..files.given_records import as_document
from ..types import Document


class MemoryDocuments:
    """A `datasets.Docstore` of documents in memory, in the order given; InputError for one id with two texts."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents: dict[str, Document] = {}
        for position, given in enumerate(documents, 1):
            document = as_document(given, f"document {position}")
            if self._documents.setdefault(document.id, document) != document:
                raise InputError(f"document {document.id!r} has two texts: give each an id of its own")

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents.values())

    def present(self, ids: Iterable[str]) -> set[str]:
        """The ids that have a document."""
        return {id for id in ids if id in self._documents}

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for."""
        return {id: self._documents[id] for id in ids if id in self._documents}

    @cached_property
    def sha256(self) -> str:
        """sha256 of ids, titles and texts, hex."""
        return documents_sha256(self._documents.values())
