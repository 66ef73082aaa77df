"""Everything a condition needs, on this machine's disk before a machine without a network runs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Protocol

from ..datasets import Dataset, Fetchable
from ..errors import InputError
from ..files.downloads import HubFile, RemoteFile
from ..files.hub import MODEL_FILES, TOKENIZER_FILES, cached_file, folder_of, local_folder
from ..lazy import resolve

FOLDERS = {
    "HF_HOME": "huggingface",
    "HF_HUB_CACHE": "huggingface/hub",
    "REASONRANK_CACHE": "reasonrank",
    "IR_DATASETS_HOME": "ir_datasets",
    "PYSERINI_CACHE": "pyserini",
}
"""The caches by the variable that places them, and their names below one folder."""


INDEXES = {"prebuilt": "reasonrank_pyserini.first_stages.prebuilt:find_index"}
"""What fetches a prebuilt index."""


class Item(Protocol):
    """Something to fetch: `size` in bytes (None: not known beforehand), `missing` whether it is not here yet."""

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
        """As it is known, else as the hub tells it; None when it does not."""
        if self.file.size is not None or not isinstance(self.file, HubFile):
            return self.file.size
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        file = self.file
        url = hf_hub_url(file.repo, file.path, revision=file.revision, repo_type=file.repo_type)
        try:
            return get_hf_file_metadata(url).size
        except Exception:  # whatever the hub client raises: `fetch` will tell it in words
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
        """Bytes of the files that are loaded, as the hub lists them; None when it cannot be asked."""
        from huggingface_hub import HfApi

        try:
            found = HfApi().model_info(self.model, revision=self.revision, files_metadata=True)
        except Exception:  # whatever the hub client raises: `fetch` will tell it in words
            return None
        patterns = (*MODEL_FILES, *TOKENIZER_FILES)
        loaded = [one for one in found.siblings or () if any(fnmatch(one.rfilename, p) for p in patterns)]
        return sum(one.size or 0 for one in loaded)

    @property
    def missing(self) -> bool:
        """Whether configuration, tokenizer or any file of the weights is not here."""
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
    """A collection that ir_datasets fetches by itself: queries, judgements and documents."""

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
    """A prebuilt index of Pyserini's, which downloads it by itself."""

    index: str
    size: int | None = None
    missing: bool = True

    @property
    def name(self) -> str:
        return f"{self.index} (index, through Pyserini)"

    def fetch(self) -> None:
        resolve("index source", "prebuilt", INDEXES)(self.index)


def collection_items(dataset: Dataset, variants: Sequence[str], qrels_kind: str) -> list[Item]:
    """What has to be fetched of a collection: its files one by one where it can tell them."""
    if isinstance(dataset, Fetchable):
        files = dataset.files(variants=variants, qrels_kinds=(qrels_kind,))
        return [FileItem(file) for file in files]
    return [CollectionItem(dataset)]


def place(folder: Path | None) -> Mapping[str, str]:
    """Point the caches below `folder` and name them; without one, where they are.

    Has to come before the hub's client is loaded, which reads its folder when it is.
    """
    if folder is None:
        return {name: value for name in FOLDERS if (value := os.environ.get(name))}
    chosen = {name: str(folder.absolute() / below) for name, below in FOLDERS.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--to {folder} cannot be made: {error.strerror}") from error
    os.environ.update(chosen)
    return chosen


def fetch_all(items: Sequence[Item], disk: Path, say: Callable[[str], None]) -> int:
    """Fetch what is missing, sizes first; how many items were fetched.

    InputError before anything is downloaded when the disk has no room for what is missing.
    """
    missing = [(item, item.size) for item in items if item.missing]
    total = sum(size or 0 for _, size in missing)
    unknown = sum(size is None for _, size in missing)
    for item, size in missing:
        say(f"{_bytes(size):>10}  {item.name}")
    more = f" and {unknown} of unknown size" if unknown else ""
    say(f"{_bytes(total):>10}  to fetch{more}; {len(items) - len(missing)} of {len(items)} are here already")
    free = shutil.disk_usage(_existing(disk)).free
    if total > free:
        raise InputError(
            f"{_bytes(total)} to fetch, but {disk} has {_bytes(free)} free: choose another disk by --to DIR"
        )
    for number, (item, _) in enumerate(missing, 1):
        say(f"[{number}/{len(missing)}] {item.name}")
        item.fetch()
    return len(missing)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _bytes(size: int | None) -> str:
    if size is None:
        return "?"
    for unit, amount in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= amount:
            return f"{size / amount:.1f} {unit}"
    return f"{size} B"
