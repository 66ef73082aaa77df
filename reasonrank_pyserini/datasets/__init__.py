"""The Dataset seam: queries, qrels, documents by id, excluded ids."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import InputError, UnknownNameError
from ..lazy import resolve
from ..types import Document, Query

if TYPE_CHECKING:
    from ..files.downloads import RemoteFile

SOURCES = {
    "ir_datasets": "reasonrank_pyserini.datasets.irds:load",
    "bright": "reasonrank_pyserini.datasets.bright:load",
    "r2med": "reasonrank_pyserini.datasets.r2med:load",
    "nano": "reasonrank_pyserini.datasets.nano.dataset:load",
    "beir": "reasonrank_pyserini.datasets.local:BeirDataset",
    "catalogue": "reasonrank_pyserini.datasets.catalogue:list_datasets",
    "plug-in ids": "reasonrank_pyserini.datasets.catalogue:plugin_ids",
    "description": "reasonrank_pyserini.datasets.catalogue:describe",
}
"""Loaders of the test collections by source, and of the catalogue, which reads no collection."""

FAMILIES = ("bright", "r2med", "nano")
"""First parts of the ids that are loaded here; every other id is looked up in ir_datasets."""

TOKENS_BY_FAMILY = {
    "bright/": 512,
    "r2med/": 512,
    "beir/": 100,
    "nano-beir/": 100,
    "msmarco-passage/trec-dl": 100,
    "msmarco-passage-v2/trec-dl": 100,
}
"""Passage length in the published evaluations, in tokens, by the start of a collection's id."""


_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class Docstore(Protocol):
    """Documents by id, in bulk; texts are read on request and not kept."""

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id; ids without a document are left out."""
        ...

    def __iter__(self) -> Iterator[Document]:
        """Every document, in corpus order."""
        ...


@runtime_checkable
class ChecksIds(Protocol):
    """A Docstore that finds ids without reading texts."""

    def present(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that have a document."""
        ...


class Dataset(Protocol):
    """A test collection."""

    @property
    def id(self) -> str: ...

    @property
    def documents(self) -> Docstore: ...

    @property
    def passage_tokens(self) -> int | None:
        """Passage length in tokens (512 BRIGHT and R2MED, 100 TREC and BEIR); None means the profile's."""
        ...

    def queries(self, variant: str | None = None) -> Sequence[Query]: ...

    def variants(self) -> tuple[str, ...]: ...

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]: ...

    def excluded(self, query_id: str) -> frozenset[str]: ...


@runtime_checkable
class Fetchable(Protocol):
    """A Dataset that can list its files, so that they can be fetched beforehand."""

    def files(
        self,
        *,
        variants: Sequence[str] = (),
        qrels_kinds: Sequence[str] = ("plain",),
        documents: bool = True,
    ) -> tuple[RemoteFile, ...]:
        """The files for the queries, these variants and qrels, and the documents."""
        ...


def load_dataset(name: str | Path) -> Dataset:
    """The test collection of that name; nothing is read or downloaded until it is needed.

    A name is `bright/<task>`, `r2med/<task>` or `nano/<split>`, an ir_datasets id (`beir/scifact/test`), a BEIR
    folder's path, or `module:attribute`, a Dataset or a function that returns one. An id wins over a folder of
    the same name: write `./beir/scifact` for the folder. Raises UnknownNameError for anything else.
    """
    text = str(name)
    if isinstance(name, Path) or text in (".", "..") or text.startswith(("/", "./", "../", "~")):
        return _folder(text)
    if _REFERENCE.fullmatch(text):
        return _referenced(text)
    family, slash, _ = text.partition("/")
    source = family.lower() if slash and family.lower() in FAMILIES else "ir_datasets"
    try:
        dataset: Dataset = resolve("dataset source", source, SOURCES)(text)
    except UnknownNameError:
        if not os.path.isdir(text):
            raise
        return _folder(text)
    return dataset


def documents_identity(dataset: Dataset) -> dict[str, str] | None:
    """The id and version of an ir_datasets corpus, which identify its documents without hashing them.

    None for documents that have their own sha256 and for those that must be hashed.
    """
    if isinstance(getattr(dataset.documents, "sha256", None), str):
        return None
    import ir_datasets

    if dataset.id not in ir_datasets.registry:
        return None
    return {"ir_datasets": ir_datasets.docs_parent_id(dataset.id), "version": ir_datasets.__version__}


def passage_tokens(name: str) -> int | None:
    """The passage length, in tokens, of the published evaluations on that collection; None when unknown."""
    return next((tokens for start, tokens in TOKENS_BY_FAMILY.items() if name.startswith(start)), None)


def _folder(path: str) -> Dataset:
    folder = os.path.expanduser(path)
    if not os.path.isdir(folder):
        raise InputError(f"dataset {path}: there is no such folder (a BEIR folder contains corpus.jsonl)")
    dataset: Dataset = resolve("dataset source", "beir", SOURCES)(folder)
    return dataset


def _referenced(reference: str) -> Dataset:
    found = resolve("dataset", reference, {})
    if isinstance(found, type) or not hasattr(found, "queries"):
        found = found() if callable(found) else None
    if not hasattr(found, "queries"):
        raise InputError(f"dataset {reference!r} is neither a Dataset nor a function that returns one")
    dataset: Dataset = found
    return dataset
