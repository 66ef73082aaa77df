"""A model's tokenizer, its context, and an identity that depends on the weights, not on the path."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError, one_line
from ..files.hub import (
    TOKENIZER_FILES,
    cached_commit,
    cached_file,
    check_model,
    folder_of,
    local_folder,
)

FULL_HASH_LIMIT = 1 << 30
"""Weights of up to 1 GiB in total are hashed completely; above that, each file by its size and samples."""
SAMPLES, SAMPLE_BYTES = 256, 1 << 16
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
CONFIG_FILES = ("config.json", "generation_config.json", "adapter_config.json")
_UNSTABLE_KEYS = {"_name_or_path", "transformers_version"}


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """The fast tokenizer of a folder or hub id, read from its tokenizer.json.

    Does not load torch and never runs code that comes with a model. InputError, in one line, when there is no
    tokenizer, no network, no access, or only a slow tokenizer.
    """
    folder = folder_of(model, revision, TOKENIZER_FILES)
    if not (folder / "tokenizer.json").is_file():
        return _converted_tokenizer(model, folder)
    from transformers import PreTrainedTokenizerFast  # torch-free, unlike AutoTokenizer

    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # tokenizers raises plain Exception for a file that it cannot read
        raise InputError(f"the tokenizer of {model!r} cannot be read: {one_line(error)}") from error


def _converted_tokenizer(model: str, folder: Path) -> Any:
    """A fast tokenizer converted from older files (vocab.json, SentencePiece); this loads torch."""
    from transformers import AutoTokenizer

    way_out = "give a `tokenizer` that has a tokenizer.json"
    older = ("vocab.json", "tokenizer.model", "spiece.model", "tokenizer_config.json")
    if not any((folder / name).is_file() for name in older):
        raise InputError(
            f"{model!r} has no tokenizer (no tokenizer.json in {folder}): "
            "give a model's folder or hub id, or a `tokenizer`"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise InputError(f"{model!r} has no fast tokenizer ({one_line(error, 160)}): {way_out}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{model!r} has only a slow tokenizer, {type(tokenizer).__name__}: {way_out}")
    return tokenizer


def chat_template_hash(tokenizer: Any) -> str | None:
    """sha256 of the tokenizer's chat template, hex; None when it has none."""
    template = getattr(tokenizer, "chat_template", None)
    if not template:
        return None
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_config(model: str, revision: str | None = None) -> dict[str, Any]:
    """The model's config.json from its folder or the cache; empty when missing. Never downloads."""
    path = cached_file(model, revision, "config.json")
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable JSON: {one_line(error, 120)}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is not a model configuration: it is not a JSON object")
    return config


def model_context(model: str, revision: str | None = None) -> int | None:
    """The model's context in tokens by its config.json; None when that is missing or does not say."""
    config = read_config(model, revision)
    for part in (config, config.get("text_config")):
        for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
            value = part.get(key) if isinstance(part, Mapping) else None
            if isinstance(value, int) and value > 0:
                return value
    return None


def model_identity(model: str, revision: str | None = None) -> dict[str, Any]:
    """A JSON value that identifies the weights.

    Hub ids: {"model", "revision": the commit if it is pinned or cached, else as given}. Folders: {"weights": hash
    over configuration and weight files}, independent of the folder's name.
    """
    check_model(model)
    folder = local_folder(model)
    if folder is None:
        return {"model": model, "revision": cached_commit(model, revision) or revision}
    return {"weights": folder_hash(folder)}


def has_weights(model: str) -> bool:
    """Whether a model's folder has weights; True for hub ids, whose commit identifies them."""
    folder = local_folder(model)
    return folder is None or any(path.suffix in WEIGHT_SUFFIXES for path in folder.iterdir())


def tokenizer_hash(model: str, revision: str | None = None) -> str:
    """An identity of a tokenizer: sha256 of its tokenizer.json or, when that is not here, hub id and commit."""
    path = cached_file(model, revision, "tokenizer.json")
    if path is None:
        return f"{model}@{cached_commit(model, revision) or revision or 'main'}"
    return f"sha256:{_weights_hash(path, whole=True)}"


def folder_hash(folder: str | Path) -> str:
    """A hash over names and contents of a folder's weight files, config.json and adapter_config.json.

    Above `FULL_HASH_LIMIT` in total, a file is hashed by its size and 256 samples of 64 KiB, evenly spread from
    first to last byte. Fields of config.json that only record its origin are left out.
    """
    folder = Path(os.path.expanduser(folder))
    paths = sorted(path for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES and path.is_file())
    whole = sum(path.stat().st_size for path in paths) <= FULL_HASH_LIMIT
    lines = [f"{path.name} {_weights_hash(path, whole)}" for path in paths]
    settings = [folder / name for name in CONFIG_FILES if (folder / name).is_file()]
    lines.extend(f"{path.name} {_config_hash(path)}" for path in settings)
    if not lines:
        raise InputError(f"the folder {str(folder)!r} has no model: neither config.json nor weights")
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"sha256:{digest}" if whole else f"sampled-sha256:{digest}"


def _config_hash(path: Path) -> str:
    raw = path.read_bytes()
    try:
        config = json.loads(raw)
    except ValueError:
        return hashlib.sha256(raw).hexdigest()
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in _UNSTABLE_KEYS}
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _weights_hash(path: Path, whole: bool) -> str:
    stat = path.stat()
    return _digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns, whole)


@lru_cache(maxsize=1024)
def _digest(path: str, size: int, mtime_ns: int, whole: bool) -> str:
    with open(path, "rb") as stream:
        if whole or size <= SAMPLES * SAMPLE_BYTES:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode())
        for number in range(SAMPLES):
            stream.seek((size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
        return digest.hexdigest()
