"""Documents of a collection by id: a compressed store on disk, built once from the collection's file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import InputError, one_line
from ..files.caches import cache_root, cached_folder
from ..files.downloads import RemoteFile
from ..types import Document
from .docids import from_castorini, to_castorini
from .irds_errors import FAILURES, ir_datasets

Texts = Iterator[tuple[str, str]]
CHANGED_IDS = "respelled.json"
"""The file next to the store with the ids that castorini spells differently."""
CONTENT_SUM = "sha256"


class StoredDocuments:
    """A `datasets.Docstore` over one file of texts, kept in ir_datasets' PickleLz4FullStore by document id.

    `source` (repository, file, revision) is the store's identity; `kind` names its folder under the cache
    root. The file is fetched and the store built when first needed: one process builds, others wait.
    """

    def __init__(
        self, file: RemoteFile, kind: str, source: Mapping[str, str], read: Callable[[Path], Texts]
    ) -> None:
        self.file = file
        self._kind, self._source, self._read = kind, {"layout": 1, **source}, read
        self._lock = Lock()

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for."""
        wanted = [id for id in dict.fromkeys(ids) if _storable(id)]
        if not wanted:
            return {}
        with self._lock, self._readable():
            records = {record.doc_id: record for record in self.store.get_many_iter(wanted)}
        return {id: Document(id, records[id].text) for id in wanted if id in records}

    def __iter__(self) -> Iterator[Document]:
        """Every document, in corpus order, read from the collection's own file."""
        for id, text in self._read(self.file.fetch()):
            yield Document(id, text)

    def hub_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """The collection's id for each castorini id that it does not have; unknown ids are left out."""
        wanted = [id for id in dict.fromkeys(ids) if _storable(id)]
        with self._lock, self._readable():
            respelled = [id for id in wanted if id in self._respelled]
            known = {record.doc_id for record in self.store.get_many_iter(respelled)} if respelled else set()
        candidates = [id for spelled in respelled for id in self._respelled[spelled]]
        return from_castorini(respelled, [*known, *candidates])

    @property
    def sha256(self) -> str:
        """sha256 of ids and texts, hex, equal to `caches.documents_sha256`."""
        return (self.folder / CONTENT_SUM).read_text("ascii")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """InputError, with what to do, for the failures of a damaged store."""
        folder = self.folder
        try:
            yield
        except FAILURES as error:
            raise InputError(
                f"the documents in {folder} cannot be read ({one_line(error, 160)}): delete it and try again"
            ) from error

    @cached_property
    def store(self) -> Any:
        """ir_datasets' store, built if need be."""
        ir_datasets()
        return _store(self.folder / "store", _none)

    @cached_property
    def folder(self) -> Path:
        """The store's folder; built now if it does not exist."""
        try:
            return cached_folder(self._kind, self._source, self._build)
        except OSError as error:
            where = f"{cache_root()}: {error.strerror or error}"
            raise InputError(
                f"the cache cannot be used ({where}): name another folder in REASONRANK_CACHE"
            ) from error

    @cached_property
    def _respelled(self) -> dict[str, list[str]]:
        """The collection's ids that contain spaces, by castorini's spelling."""
        found: dict[str, list[str]] = {}
        for id in json.loads((self.folder / CHANGED_IDS).read_text("utf-8")):
            found.setdefault(to_castorini(id), []).append(id)
        return found

    def _build(self, folder: Path) -> None:
        generic = ir_datasets().formats.GenericDoc
        path, respelled, content = self.file.fetch(), [], hashlib.sha256()

        def records() -> Iterator[Any]:
            for id, text in self._read(path):
                if not _storable(id):
                    raise InputError(
                        f"{path} has a document with the id {id!r}, which cannot be encoded as UTF-8"
                    )
                if to_castorini(id) != id:
                    respelled.append(id)
                content.update(json.dumps([id, "", text]).encode() + b"\n")
                yield generic(id, text)

        store = _store(folder / "store", records)
        store.build()
        if not store.built():
            raise InputError(f"{path} has no documents: delete it and try again")
        store.lookup.close()
        (folder / CHANGED_IDS).write_text(json.dumps(respelled), "utf-8")
        (folder / CONTENT_SUM).write_text(content.hexdigest(), "ascii")


def _store(path: Path, records: Callable[[], Iterator[Any]]) -> Any:
    package = ir_datasets()
    return package.indices.PickleLz4FullStore(
        path=str(path),
        init_iter_fn=records,
        data_cls=package.formats.GenericDoc,
        lookup_field="doc_id",
        index_fields=["doc_id"],
    )


def _none() -> Iterator[Any]:
    return iter(())


def _storable(id: str) -> bool:
    """Whether a store can hold an id: UTF-8 text without a NUL at its end."""
    return bool(id) and not id.endswith("\0") and id.encode("utf-8", "replace").decode() == id
