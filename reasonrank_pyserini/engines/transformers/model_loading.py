"""Loading for the transformers engine: device, dtype, weights, adapter; quiet, with one-line errors."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, UnknownNameError, one_line
from ...files.hub import MODEL_FILES, PICKLED_FILES, folder_of, local_folder
from ...lazy import require
from ...models.machine import memory_available

DTYPES = ("auto", "float32", "bfloat16", "float16")
SHARE_OF_FREE_MEMORY = 0.5
"""The share of the memory left after loading that the key-value cache may use."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model: `context` by its configuration, `cache_tokens` as many as fit into memory."""

    model: Any
    device: Any
    dtype: str
    context: int | None
    vocabulary: int
    stop_ids: frozenset[int]
    cache_tokens: int | None


def pick_device(requested: str) -> Any:
    """The torch device as requested; for `auto` CUDA, else MPS, else the CPU."""
    import torch

    mps = torch.backends.mps.is_available()
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise InputError(f"device {requested!r}: give auto, cpu, cuda, cuda:1 or mps") from error
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (device.type == "mps" and not mps)
    if missing or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"this machine has no device {requested!r}: leave it out, or `engine_args` device=cpu"
        )
    return device


def pick_dtype(requested: str, device: Any) -> str:
    """The dtype as requested; `auto` is float32 on a CPU, else bfloat16, or float16 if the device lacks that."""
    import torch

    if requested not in DTYPES:
        raise UnknownNameError("dtype", requested, DTYPES)
    if requested != "auto":
        return requested
    if device.type == "cpu":
        return "float32"
    if device.type == "mps":
        return "bfloat16" if torch.backends.mps.is_macos_or_newer(14, 0) else "float16"
    return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"


def load(
    model: str, revision: str | None, *, device: str, dtype: str, attention: str | None, adapter: str | None
) -> Loaded:
    """The model on its device, in evaluation mode; InputError for unusable weights."""
    import torch

    where = pick_device(device)
    kind = pick_dtype(dtype, where)
    folder = folder_of(model, revision, MODEL_FILES)
    if not _has_weights(folder, ".safetensors") and local_folder(model) is None:
        folder = folder_of(model, revision, PICKLED_FILES)
    _check_folder(model, folder)
    with quiet():
        network = _read(model, folder, getattr(torch, kind), attention)
        if adapter is not None:
            network = _with_adapter(network, adapter)
        network = network.to(where).eval()
    config = network.config.get_text_config()
    return Loaded(
        model=network,
        device=where,
        dtype=kind,
        context=_context(config),
        vocabulary=network.get_input_embeddings().weight.shape[0],
        stop_ids=_stop_ids(network),
        cache_tokens=_cache_tokens(network, where),
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the libraries' progress bars and warnings, but not errors."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _check_folder(model: str, folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"the model {model!r} has no config.json in {folder}: give the folder of a complete model"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / 'config.json'} is not JSON: {one_line(error, 120)}") from error
    if not _has_weights(folder, ".safetensors", ".bin"):
        raise InputError(f"the model {model!r} has no weights (*.safetensors) in {folder}: download it again")
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

    kind = config.get("model_type") if isinstance(config, Mapping) else None
    if kind not in KNOWN:
        code = ", and code that comes with a model is never run" if "auto_map" in config else ""
        raise InputError(
            f"the model {model!r} is of type {kind!r}, which transformers does not know as a text "
            f"generator{code}: use a model of a known type"
        )


def _has_weights(folder: Path, *suffixes: str) -> bool:
    return any(path.suffix in suffixes for path in folder.iterdir())


def _read(model: str, folder: Path, dtype: Any, attention: str | None) -> Any:
    from transformers import AutoModelForCausalLM

    extra = {} if attention is None else {"attn_implementation": attention}
    try:
        network, report = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **extra,
        )
    except Exception as error:  # the loader raises the errors of its file formats
        raise InputError(f"the model {model!r} cannot be loaded: {one_line(error)}") from error
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"the weights in {folder} lack {len(missing)} tensors of the model ({missing[0]}, ...): "
            "download it again"
        )
    if network.config.is_encoder_decoder:
        raise InputError(f"the model {model!r} is an encoder-decoder: use a decoder-only model")
    return network


def _with_adapter(network: Any, adapter: str) -> Any:
    peft = require("peft", "a LoRA adapter with the transformers engine")
    folder = Path(os.path.expanduser(adapter))
    if not (folder / "adapter_config.json").is_file():
        raise InputError(f"there is no adapter in {adapter!r}: give a folder with adapter_config.json")
    try:
        return peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    except Exception as error:
        raise InputError(f"the adapter {adapter!r} cannot be loaded: {one_line(error)}") from error


def _context(config: Any) -> int | None:
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _stop_ids(network: Any) -> frozenset[int]:
    found: set[int] = set()
    for config in (network.generation_config, network.config, network.config.get_text_config()):
        ids = getattr(config, "eos_token_id", None)
        found.update(ids if isinstance(ids, (list, tuple)) else [ids] if isinstance(ids, int) else [])
    return frozenset(found)


def _cache_tokens(network: Any, device: Any) -> int | None:
    """How many tokens of key-value cache fit; InputError for a model with another kind of state."""
    import torch

    from ..cached_decoding import Decoder

    refused = InputError(
        f"{type(network).__name__} does not keep a plain key-value cache: use `engine` vllm for this model"
    )
    try:
        decoder = Decoder(network, device)
        _, pairs = decoder.prefill([0, 0])
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise refused from error
    if not pairs or any(keys is None or keys.shape[-2] != 2 for keys, _ in pairs):
        raise refused
    decoder.replace([], [pairs])
    decoder.step([0])
    per_token = sum(keys.nbytes + values.nbytes for keys, values in pairs) // 2
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory_available()
    return None if free is None else max(1, int(free * SHARE_OF_FREE_MEMORY / per_token))
