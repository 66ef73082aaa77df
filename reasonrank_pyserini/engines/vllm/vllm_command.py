"""The command line and environment that start a vLLM server for an engine's configuration."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError, UnknownNameError
from ...files.hub import local_folder
from ...models.machine import memory_available
from .. import EngineConfig
from .vllm_installation import Installation
from .vllm_replicas import normalised, replica_environments, requests_together

MODULE = "vllm.entrypoints.openai.api_server"
PROCESSOR = "reasonrank_permutation:PermutationProcessor"
PROCESSOR_FOLDER = Path(__file__).parent / "on_server"
ADAPTER = "adapter"
"""The name under which a server offers a LoRA adapter."""
OWN_OPTIONS = {
    "model": "`model`",
    "revision": "`revision`",
    "tokenizer": "`tokenizer`",
    "data_parallel_size": "`replicas`",
}
"""Engine arguments that have their own setting."""
REFUSED = {
    "trust_remote_code": "code from a model's repository is never run",
    "skip_tokenizer_init": "answers come back as text",
    "enable_lora": "give the adapter's folder as lora=PATH",
    "runner": "the model has to generate text",
    "headless": "the server has to answer",
    "served_model_name": "the server is asked by the model's own name",
    "hf_token": "put the token into the environment variable HF_TOKEN",
}
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class ServeCommand:
    """How to start the servers of one engine: the Python, arguments for `MODULE`, the environment's additions.

    `replicas` has the further additions of each server: its GPUs, or its processor cores.
    """

    python: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    replicas: tuple[Mapping[str, str], ...] = ({},)


def check_arguments(config: EngineConfig, vllm: Installation) -> None:
    """Raise InputError for a configuration that this engine cannot apply."""
    if config.base_urls or config.servers is not None or config.api != "completions":
        raise InputError(
            "the vllm engine starts its own servers and sends token ids: for a server that is already running "
            "(`base_urls`, `servers`, `api` chat) use `engine` openai"
        )
    known = vllm.engine_arguments() | {"lora"}
    for name in normalised(config.args):
        if name in OWN_OPTIONS:
            raise InputError(f"engine argument {name!r}: use {OWN_OPTIONS[name]} instead")
        if name in REFUSED:
            raise InputError(f"engine argument {name!r} is refused: {REFUSED[name]}")
        if len(known) > 1 and name not in known:
            near = [*difflib.get_close_matches(name, known, n=12, cutoff=0.4), *sorted(known)]
            raise UnknownNameError(
                "vllm engine argument", name, dict.fromkeys(near[:12]), "see vLLM's EngineArgs"
            )
    if (adapter := lora_folder(config)) is not None:
        lora_rank(adapter)


def lora_folder(config: EngineConfig) -> Path | None:
    """The folder of the LoRA adapter, if there is one."""
    given = normalised(config.args).get("lora")
    return None if given is None else Path(str(given))


def lora_rank(folder: Path) -> int:
    """The smallest LoRA rank that vLLM offers for the adapter in `folder`; InputError when it is not an adapter."""
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


def model_settings(config: EngineConfig) -> dict[str, Any]:
    """The model's config.json, downloaded if need be (without weights); InputError when there is no such model."""
    from ...files.hub import folder_of
    from ...models.identity import read_config

    folder = folder_of(config.model, config.revision, ("config.json",))
    settings = read_config(config.model, config.revision)
    if not settings:
        raise InputError(f"the folder {str(folder)!r} has no model: config.json is missing")
    return settings


def serve_command(config: EngineConfig, vllm: Installation) -> ServeCommand:
    """How to start the servers of a configuration; InputError for one that cannot work."""
    check_context(config)
    settings = model_settings(config)
    given = normalised(config.args)
    replicas = replica_environments(config, on_cpu=vllm.on_cpu)
    arguments: dict[str, Any] = {
        "model": _in_any_folder(config.model),
        "served_model_name": config.model,
        "revision": config.revision,
        "tokenizer": config.tokenizer and _in_any_folder(config.tokenizer),
        "max_model_len": config.max_model_len,
        "max_num_seqs": requests_together(config),
        "generation_config": "vllm",  # the model's stop tokens, but not its sampling defaults
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",  # the gate's order, see `engines.gate`
        "disable_log_stats": True,
        "disable_uvicorn_access_log": True,
        "disable_fastapi_docs": True,
    }
    if config.tokenizer in (None, config.model):
        arguments["tokenizer_revision"] = config.revision
    if vllm.on_cpu:
        arguments |= _cpu_arguments(settings, given, len(replicas))
    if (adapter := lora_folder(config)) is not None:
        given.pop("lora")
        arguments |= {"enable_lora": True, "max_lora_rank": lora_rank(adapter), "max_loras": 1}
        arguments["lora_modules"] = f"{ADAPTER}={adapter.resolve()}"
    if "speculative_config" not in given:  # vLLM takes no logits processors with it
        more = given.get("logits_processors") or ()
        given["logits_processors"] = [*([more] if isinstance(more, str) else more), PROCESSOR]
    return ServeCommand(
        vllm.python, tuple(option_words(arguments | given)), _environment(on_cpu=vllm.on_cpu), tuple(replicas)
    )


def option_words(arguments: Mapping[str, Any]) -> list[str]:
    """Arguments as vLLM's command line takes them; None leaves one out."""
    words: list[str] = []
    for name, value in arguments.items():
        option = name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list | tuple):
            words += [f"--{option}", *(item if isinstance(item, str) else json.dumps(item) for item in value)]
        else:
            words.append(f"--{option}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def _in_any_folder(model: str) -> str:
    """The model's name, or its folder as a server finds it whose working folder is another."""
    folder = local_folder(model)
    return model if folder is None else str(folder.absolute())


def _environment(*, on_cpu: bool) -> dict[str, str]:
    """Additions to the environment of a server."""
    path = os.environ.get("PYTHONPATH")
    added = {
        "PYTHONPATH": os.pathsep.join([str(PROCESSOR_FOLDER), *([path] if path else [])]),
        "PYTHONSAFEPATH": "1",  # nothing is imported from the working folder
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if on_cpu:
        added["TORCHDYNAMO_DISABLE"] = "1"
    return {name: value for name, value in added.items() if name == "PYTHONPATH" or name not in os.environ}


def _cpu_arguments(settings: Mapping[str, Any], given: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    args: dict[str, Any] = {"enforce_eager": True}
    if str(settings.get("dtype") or settings.get("torch_dtype")).removeprefix("torch.") == "float32":
        args["dtype"] = "float32"  # vLLM's "auto" would halve it
    sized = {"kv_cache_memory_bytes", "gpu_memory_utilization"} & given.keys()
    if not sized and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        args["kv_cache_memory_bytes"] = min(max((memory_available() or 0) // 8 // replicas, GIB), 8 * GIB)
    return args
