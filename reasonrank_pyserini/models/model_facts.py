"""What is known of a model without loading it: its weights on this machine, its size, its context."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.hub import cached_file, local_folder
from .identity import WEIGHT_SUFFIXES, model_context, read_config
from .profiles import Profile

WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2, "half": 2, "float": 4}
SLOW_ON_CPU = 3 * 10**9
"""Bytes of weights above which a CPU takes minutes a window."""
USABLE = 0.92
"""The share of a GPU's memory that an engine can use."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about a model that is not loaded; None where unknown.

    `here`: all its weights are on this machine. `folder`: it is a local folder, not a name on the hub. `adapter`: the
    base model, if the model is only an adapter.
    """

    model: str
    here: bool
    weights_bytes: int | None = None
    width: int = 2
    quantised: bool = False
    kv_bytes_per_token: int | None = None
    context: int | None = None
    prefers_bfloat16: bool = True
    folder: bool = False
    adapter: str | None = None


def model_facts(model: str, revision: str | None, profile: Profile) -> ModelFacts:
    """The facts of a model from its folder or the hub's cache, completed by its profile."""
    config = read_config(model, revision)
    text = {**config, **(config.get("text_config") or {})}
    path = cached_file(model, revision, "config.json")
    weights = _weights(path.parent) if path else 0
    stored = str(text.get("dtype") or text.get("torch_dtype") or profile.dtype)
    return ModelFacts(
        model=model,
        here=weights > 0,
        weights_bytes=weights or profile.size.weights_bytes,
        width=WIDTHS.get(stored, 2),
        quantised="quantization_config" in config,
        kv_bytes_per_token=_kv_bytes(text) or profile.size.kv_bytes_per_token,
        context=model_context(model, revision),
        prefers_bfloat16=stored in ("bfloat16", "auto"),
        folder=local_folder(model) is not None,
        adapter=_adapter_base(model),
    )


def _adapter_base(model: str) -> str | None:
    """The base model of a folder with only a LoRA adapter; None for any other folder."""
    folder = local_folder(model)
    if folder is None or not (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file():
        return None
    try:
        content = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        return str(content["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return "named by its adapter_config.json"


def _weights(folder: Path) -> int:
    """Bytes of the weights in a folder; 0 when shards are missing."""
    files = [path for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES and path.exists()]
    safe = [path for path in files if path.suffix == ".safetensors"]
    shards = safe or files
    totals = {part for path in shards if (part := path.stem.rpartition("-of-")[2]).isdigit()}
    if len(totals) == 1 and len(shards) < int(totals.pop()):
        return 0
    return sum(path.stat().st_size for path in shards)


def _kv_bytes(config: Mapping[str, Any]) -> int | None:
    def number(key: str) -> int | None:
        value = config.get(key)
        return value if type(value) is int and value > 0 else None

    layers, heads, hidden = number("num_hidden_layers"), number("num_attention_heads"), number("hidden_size")
    if layers is None or heads is None or hidden is None:
        return None
    return 2 * layers * (number("num_key_value_heads") or heads) * (number("head_dim") or hidden // heads) * 2
