"""The vllm engine's configuration as vLLM's engine arguments."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from ...errors import InputError, UnknownNameError
from ...files.hub import model_path
from ...lazy import require
from ...models.machine import memory_available
from .. import EngineConfig
from ..fault_handlers import kept_fault_handlers

OWN_OPTIONS = {"model": "`model`", "revision": "`revision`", "tokenizer": "`tokenizer`"}
"""Engine arguments that have their own setting."""
REFUSED = {
    "trust_remote_code": "code from a model's repository is never run",
    "skip_tokenizer_init": "answers come back as text",
    "enable_lora": "give the adapter's folder as lora=PATH",
    "runner": "the model has to generate text",
    "headless": "the engine runs inside this process",
}
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
GIB = 1 << 30
QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""Defaults for the environment; vLLM reads it on import."""
LOG_CHOICES = ("VLLM_LOGGING_LEVEL", "VLLM_CONFIGURE_LOGGING", "VLLM_LOGGING_CONFIG_PATH")


def log_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the user has configured vLLM's log and so wants to see it."""
    return any(name in environment and environment[name] != QUIET.get(name) for name in LOG_CHOICES)


def import_vllm() -> Any:
    """The vllm module, imported without log output and usage statistics; MissingPackageError when missing."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not log_wanted(os.environ):
        logging.getLogger("vllm").setLevel(logging.ERROR)  # until vLLM configures itself
    with kept_fault_handlers():
        module = require("vllm", "the vllm engine")
        importlib.import_module("vllm.engine.arg_utils")  # loads the libraries that replace signal handlers
    return module


def hush() -> None:
    """Silence vLLM's log of an engine's end, which is intended or raised as an error."""
    if not log_wanted(os.environ):
        logging.getLogger("vllm.v1.engine.async_llm").setLevel(logging.CRITICAL)


def known_arguments() -> dict[str, Any]:
    """vLLM's engine arguments with their types, and `lora`."""
    import_vllm()
    from vllm.engine.arg_utils import AsyncEngineArgs

    return {field.name: field.type for field in dataclasses.fields(AsyncEngineArgs)} | {"lora": str}


def _check_type(name: str, value: Any, hint: Any) -> None:
    """Raise InputError when a plain argument (number, boolean, string) has a value of another type."""
    types = set(get_args(hint) or (hint,))
    if types <= {int, float, bool, str, type(None)}:
        fits = type(value) in types or (float in types and type(value) is int)
        if not fits:
            wanted = " or ".join(sorted(kind.__name__ for kind in types - {type(None)}))
            raise InputError(f"engine argument {name}={value!r}: needs a value of type {wanted}")


def normalised(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` in vLLM's spelling (`tensor-parallel-size` is `tensor_parallel_size`)."""
    return {name.lstrip("-").replace("-", "_"): value for name, value in args.items()}


def check(config: EngineConfig) -> None:
    """Raise InputError for a configuration that this engine cannot apply; imports vLLM only if there are arguments."""
    if config.base_urls or config.api != "completions":
        raise InputError(
            "the vllm engine runs inside this process on token ids: for a server (`base_urls`, `api` chat) "
            "use `engine` openai"
        )
    args = normalised(config.args)
    for name in args:
        if name in OWN_OPTIONS:
            raise InputError(f"engine argument {name!r}: use {OWN_OPTIONS[name]} instead")
        if name in REFUSED:
            raise InputError(f"engine argument {name!r} is refused: {REFUSED[name]}")
    if args:
        known = known_arguments()
        for name, value in args.items():
            if name in known:
                _check_type(name, value, known[name])
            else:
                near = [*difflib.get_close_matches(name, known, n=12, cutoff=0.4), *known]
                raise UnknownNameError(
                    "vllm engine argument", name, dict.fromkeys(near[:12]), "see vLLM's EngineArgs"
                )
    if "lora" in args:
        lora_rank(Path(str(args["lora"])))


def lora_rank(folder: Path) -> int:
    """The smallest LoRA rank that vLLM offers for the adapter in `folder`; InputError when it is not an adapter."""
    import json

    path = folder / "adapter_config.json"
    try:
        rank = int(json.loads(path.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"lora={folder}: not a LoRA adapter (needs {path.name} with its rank `r`): give the folder that PEFT saved"
        ) from error
    fitting = [allowed for allowed in LORA_RANKS if allowed >= rank]
    if not fitting:
        raise InputError(f"lora={folder}: rank {rank} is above vLLM's largest, {LORA_RANKS[-1]}")
    return fitting[0]


def model_settings(config: EngineConfig) -> dict[str, Any]:
    """The model's config.json, downloaded if need be (without weights); InputError when there is no such model."""
    from ...files.hub import folder_of
    from ...models.identity import read_config

    folder = folder_of(config.model, config.revision, ("config.json",))
    settings = read_config(config.model, config.revision)
    if not settings:
        raise InputError(f"the folder {str(folder)!r} has no model: config.json is missing")
    return settings


def check_context(config: EngineConfig) -> None:
    """Raise InputError when prompt and answer need more than the model's context."""
    from ...models.identity import model_context

    context = model_context(config.model, config.revision)
    own = {"hf_overrides", "max_model_len"} & normalised(config.args).keys()
    if own or context is None or config.max_model_len is None or config.max_model_len <= context:
        return
    raise InputError(
        f"model {config.model!r} has a context of {context} tokens, but prompt and answer need "
        f"{config.max_model_len}: lower `window`, `passage_tokens` or `reasoning_tokens`"
    )


def engine_arguments(config: EngineConfig, settings: Mapping[str, Any], *, cpu: bool) -> dict[str, Any]:
    """Keyword arguments for vLLM's AsyncEngineArgs: defaults, overridden for CPUs, overridden by the user."""
    args: dict[str, Any] = {
        "model": model_path(config.model),
        "revision": config.revision,
        "tokenizer": config.tokenizer and model_path(config.tokenizer),
        "max_model_len": config.max_model_len,
        "generation_config": "vllm",  # the model's stop tokens, but not its sampling defaults
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",  # the gate's order, see `engines.gate`
        "disable_log_stats": True,
    }
    if config.tokenizer in (None, config.model):
        args["tokenizer_revision"] = config.revision
    given = normalised(config.args)
    if cpu:
        args |= _cpu_arguments(settings, given)
    adapter = given.pop("lora", None)
    if adapter is not None:
        args |= {"enable_lora": True, "max_lora_rank": lora_rank(Path(str(adapter))), "max_loras": 1}
    return args | given


def _cpu_arguments(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {"enforce_eager": True}
    if str(settings.get("dtype") or settings.get("torch_dtype")).removeprefix("torch.") == "float32":
        args["dtype"] = "float32"  # vLLM's "auto" would halve it
    sized = {"kv_cache_memory_bytes", "gpu_memory_utilization"} & given.keys()
    if not sized and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        args["kv_cache_memory_bytes"] = min(max((memory_available() or 0) // 8, GIB), 8 * GIB)
    return args
