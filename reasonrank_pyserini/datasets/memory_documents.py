"""MemoryDocuments: documents that are at hand already, as a docstore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..types import Document


class MemoryDocuments:
    """A `datasets.Docstore` in memory; of documents with the same id the last counts."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = {document.id: document for document in documents}

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        """Every document, in the order given."""
        return iter(self._documents.values())

    def present(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that have a document."""
        return {id for id in ids if id in self._documents}

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for; ids without a document are left out."""
        return {id: self._documents[id] for id in ids if id in self._documents}
