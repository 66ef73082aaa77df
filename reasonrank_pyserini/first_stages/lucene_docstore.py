"""Documents stored in a Lucene index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.document_records import document_of_raw
from ..types import Document
from .java.anserini import java_list, java_text, open_index
from .prebuilt import find_index, texts_index

_BATCH = 512


class LuceneDocstore:
    """The documents that an index stores, by id: a `datasets.Docstore`.

    `index` is a folder or the name of a prebuilt index. The text comes from the stored source (`raw`): from a
    JSON record the first text field and the title, else the source itself; in an index without sources from the
    stored `contents`. InputError for an index that stores neither. Iteration is in the order of the index.
    """

    def __init__(self, index: str | Path, *, threads: int | None = None) -> None:
        self.index, self.threads = str(index), threads or os.cpu_count() or 1
        self.folder = find_index(index)
        self._searcher, reader = open_index(self.folder)
        self._size = int(reader.maxDoc())
        reader.close()

    def __len__(self) -> int:
        return self._size

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for; ids without a document are left out."""
        found: dict[str, Document] = {}
        wanted = iter(dict.fromkeys(ids))
        while batch := list(islice(wanted, _BATCH)):
            stored = self._searcher.batch_get_docs(java_list(batch), self.threads)
            for id in batch:
                key = java_text(id)
                if (document := stored.get(key) or self._searcher.doc(key)) is not None:
                    found[id] = self._document(id, document)
        return found

    def __iter__(self) -> Iterator[Document]:
        for number in range(len(self)):
            if (stored := self._searcher.doc(number)) is not None:
                yield self._document(str(stored.get("id")), stored)

    def close(self) -> None:
        """Close the index; it cannot be read afterwards."""
        self._searcher.close()

    def _document(self, id: str, stored: Any) -> Document:
        raw = stored.get("raw")
        if raw is None and (raw := stored.get("contents")) is None:
            other = None if Path(self.index).is_dir() else texts_index(self.index)
            way_out = (
                f"try `index` {other}" if other else "build it with --storeRaw, or give the texts as `corpus`"
            )
            raise InputError(f"index {self.index} stores no texts: {way_out}")
        return document_of_raw(id, str(raw))
