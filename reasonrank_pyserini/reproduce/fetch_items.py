"""What can be fetched for a condition: single files, models, collections, prebuilt indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Protocol

from ..datasets import Dataset, Fetchable
from ..files.downloads import HubFile, RemoteFile
from ..files.hub import MODEL_FILES, TOKENIZER_FILES, cached_file, folder_of, local_folder
from ..lazy import resolve

INDEXES = {"prebuilt": "reasonrank_pyserini.first_stages.prebuilt:find_index"}
"""Finds a prebuilt index, downloading it where it is not here."""


class Item(Protocol):
    """Something to fetch; `size` is in bytes, None where it is not known beforehand, `missing`: it is not here yet."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    @property
    def missing(self) -> bool: ...

    def fetch(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FileItem:
    """A single file."""

    file: RemoteFile

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def size(self) -> int | None:
        """As listed, else as the hub states it; None where neither is known."""
        if self.file.size is not None or not isinstance(self.file, HubFile):
            return self.file.size
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        file = self.file
        url = hf_hub_url(file.repo, file.path, revision=file.revision, repo_type=file.repo_type)
        try:
            return get_hf_file_metadata(url).size
        except Exception:  # whatever the hub client raises: `fetch` reports it
            return None

    @property
    def missing(self) -> bool:
        return self.file.cached() is None

    def fetch(self) -> None:
        self.file.fetch()


@dataclass(frozen=True, slots=True)
class ModelItem:
    """Weights, configuration and tokenizer of a hub model; a local folder is never missing."""

    model: str
    revision: str | None

    @property
    def name(self) -> str:
        return self.model

    @property
    def size(self) -> int | None:
        """Bytes of the files that are loaded, as the hub lists them; None where the hub cannot be reached."""
        from huggingface_hub import HfApi

        try:
            found = HfApi().model_info(self.model, revision=self.revision, files_metadata=True)
        except Exception:  # whatever the hub client raises: `fetch` reports it
            return None
        patterns = (*MODEL_FILES, *TOKENIZER_FILES)
        loaded = [one for one in found.siblings or () if any(fnmatch(one.rfilename, p) for p in patterns)]
        return sum(one.size or 0 for one in loaded)

    @property
    def missing(self) -> bool:
        """Whether the configuration, the tokenizer or a file of the weights is not here."""
        if local_folder(self.model) is not None:
            return False
        config = cached_file(self.model, self.revision, "config.json")
        if config is None:
            return True
        index = config.with_name("model.safetensors.index.json")
        weights = {"model.safetensors"}
        if index.is_file():
            weights = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        tokenizer = any(config.with_name(name).is_file() for name in ("tokenizer.json", "vocab.json"))
        return not tokenizer or not all(config.with_name(name).is_file() for name in weights)

    def fetch(self) -> None:
        folder_of(self.model, self.revision, (*MODEL_FILES, *TOKENIZER_FILES))


@dataclass(frozen=True, slots=True)
class CollectionItem:
    """A collection that ir_datasets downloads: queries, judgements and documents."""

    dataset: Dataset
    size: int | None = None
    missing: bool = True

    @property
    def name(self) -> str:
        return f"{self.dataset.id} (through ir_datasets)"

    def fetch(self) -> None:
        self.dataset.queries()
        self.dataset.qrels()
        self.dataset.documents.get_many(["0"])


@dataclass(frozen=True, slots=True)
class IndexItem:
    """A prebuilt index that Pyserini downloads."""

    index: str
    size: int | None = None
    missing: bool = True

    @property
    def name(self) -> str:
        return f"{self.index} (index, through Pyserini)"

    def fetch(self) -> None:
        resolve("index source", "prebuilt", INDEXES)(self.index)


def collection_items(dataset: Dataset, variants: Sequence[str], qrels_kind: str) -> list[Item]:
    """What to fetch of a collection: its files one by one where it lists them."""
    if isinstance(dataset, Fetchable):
        files = dataset.files(variants=variants, qrels_kinds=(qrels_kind,))
        return [FileItem(file) for file in files]
    return [CollectionItem(dataset)]
