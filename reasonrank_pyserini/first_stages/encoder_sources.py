"""The source of an encoder's weights: a folder, identified by hashes, or a hub name pinned to a commit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError, one_line
from ..files.caches import file_sha256
from ..files.hub import MODEL_FILES, PICKLED_FILES, check_model, folder_of, local_folder

_BY_NAME = ("tct_colbert", "aggretriever", "ance", "cosdpr", "dpr", "contriever")
"""Pyserini's encoder classes that are recognised by a word in the last part of the model's name."""

_SMALL_FILES = ("config.json", "modules.json", "tokenizer_config.json")
_NOT_LOADED = re.compile(
    r"(^|/)(\.|checkpoint-|onnx/|openvino/)|\.(md|onnx|h5|msgpack|ot|log)$|optimizer\.pt$"
)
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """An encoder's files. `commit` is None for a folder; `identity` changes whenever the weights do."""

    model: str
    commit: str | None
    identity: Mapping[str, Any]
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    kind: str

    def folder(self) -> str:
        """A local folder with the files, downloaded if the model is a hub name."""
        folder = folder_of(self.model, self.commit, MODEL_FILES)
        if self.commit is not None and not any(folder.rglob("*.safetensors")):
            folder = folder_of(self.model, self.commit, MODEL_FILES + PICKLED_FILES)
        return str(folder)

    def check_length(self, max_length: int | None) -> None:
        """InputError when the model has fewer positions than `max_length`."""
        most = self.config.get("max_position_embeddings")
        if max_length is None or not isinstance(most, int):
            return
        if self.config.get("model_type") in _OFFSET_POSITIONS:
            most -= int(self.config.get("pad_token_id") or 0) + 1
        if max_length > most:
            raise InputError(f"encoder {self.model!r} takes at most {most} tokens, not {max_length}")

    def refuse_own_code(self) -> None:
        """InputError for a model that loads only by running its author's code; transformers might prompt for that."""
        from transformers import CONFIG_MAPPING

        known = self.config.get("model_type") in CONFIG_MAPPING
        tokenizer_map = self.tokenizer_config.get("auto_map")
        if (self.config.get("auto_map") and not known) or (tokenizer_map and not known):
            raise InputError(_own_code(self.model))

    def loaded(self, load: Callable[[], _T]) -> _T:
        """`load()` without progress bar; InputError for its usual failures."""
        try:
            with _no_progress_bar():
                return load()
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
            if "trust_remote_code" in str(error):
                raise InputError(_own_code(self.model)) from error
            raise InputError(f"encoder {self.model!r} cannot be loaded: {one_line(error)}") from error


def find_source(model: str, revision: str | None) -> Source:
    """The source of a folder or a hub name; for a hub name only small configuration files are downloaded here."""
    check_model(model)
    folder = local_folder(model)
    if folder is not None and revision is not None:
        raise InputError(f"encoder {model!r} is a folder, which has no revision {revision!r}")
    files = folder or folder_of(model, revision, _SMALL_FILES)
    config, modules = files / "config.json", files / "modules.json"
    if not config.is_file() and not modules.is_file():
        raise InputError(f"encoder {model!r} is not a model: it has neither config.json nor modules.json")
    name = re.split(r"[\\/]", model.rstrip("\\/"))[-1]
    return Source(
        model,
        None if folder else files.name,
        _hashes(folder) if folder else {"name": model, "commit": files.name},
        _json(config),
        _json(files / "tokenizer_config.json"),
        "sentence-transformers" if modules.is_file() else _kind(name),
    )


def _hashes(folder: Path) -> Mapping[str, Any]:
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {"files": {name: file_sha256(folder / name) for name in files if not _NOT_LOADED.search(name)}}


def _kind(name: str) -> str:
    words = re.split(r"[^a-z0-9_]+", name.lower())
    return next((kind for kind in _BY_NAME if kind in words), "auto")


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({one_line(error)})") from error
    return value if isinstance(value, dict) else {}


def _own_code(model: str) -> str:
    return (
        f"encoder {model!r} loads only by running its author's code (trust_remote_code), which is never "
        "done here: choose another encoder, or retrieve with it elsewhere and give the run as `run`"
    )


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
