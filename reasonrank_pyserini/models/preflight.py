"""Whether this machine can run a model, checked before it is downloaded or loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.hub import cache_folder, cached_file, check_model, is_offline, local_folder
from .identity import WEIGHT_SUFFIXES, model_context, read_config
from .machine import Gpu, MachineFacts, machine_facts
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


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """How a model is to run: engine, dtype and device as requested, tokens of prompt and answer, number of GPUs."""

    engine: str
    context: int
    dtype: str = "auto"
    device: str = "auto"
    cards: int = 1


@dataclass(frozen=True, slots=True)
class Findings:
    """`problems` make a run impossible, `notes` do not; each is one line that says what to do."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def preflight(
    model: str,
    revision: str | None,
    engine: str,
    profile: Profile,
    context: int,
    args: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Notes for the user, one line each; InputError with the first problem when the model cannot run here.

    Of the engine's arguments `args`, dtype, device and the parallel sizes are read. Nothing is downloaded or
    loaded. The openai engine runs elsewhere and always passes.
    """
    if engine not in ("vllm", "transformers"):
        return ()
    args = args or {}
    check_model(model)
    found = judge_machine(
        machine_facts(cache_folder(), offline=is_offline()),
        model_facts(model, revision, profile),
        LoadRequest(
            engine=engine,
            context=context,
            dtype=str(args.get("dtype", "auto")),
            device=str(args.get("device", "auto")),
            cards=_count(args, "tensor_parallel_size") * _count(args, "pipeline_parallel_size"),
        ),
    )
    if found.problems:
        raise InputError(found.problems[0])
    return found.notes


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
    """The base model of a folder that holds a LoRA adapter alone; None for any other."""
    folder = local_folder(model)
    if folder is None or not (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file():
        return None
    try:
        content = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        return str(content["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return "named by its adapter_config.json"


def judge_machine(machine: MachineFacts, model: ModelFacts, plan: LoadRequest) -> Findings:
    """The problems and notes of that model on that machine. A pure function."""
    problems: list[str] = []
    notes: list[str] = []
    _judge_weights(machine, model, problems, notes)
    if model.context is not None and plan.context > model.context:
        problems.append(
            f"{model.model} takes {model.context} tokens, {plan.context} are needed: lower `window`, "
            "`passage_tokens` or `reasoning_tokens`"
        )
    if machine.gpus and (plan.device == "auto" or plan.device.startswith("cuda")):
        _judge_cards(machine.gpus, model, plan, problems, notes)
    else:
        _judge_memory(machine, model, plan, problems, notes)
    return Findings(tuple(problems), tuple(notes))


def _judge_weights(machine: MachineFacts, model: ModelFacts, problems: list[str], notes: list[str]) -> None:
    if model.here:
        return
    if model.adapter is not None:
        problems.append(
            f"the folder {model.model} is an adapter, not a model: give its base model ({model.adapter}) as `model`, "
            f"and this folder as engine argument lora={model.model}"
        )
        return
    if model.folder:
        problems.append(
            f"the folder {model.model} has no weights, or not all: give one with every .safetensors file that its "
            "index names"
        )
        return
    cache = cache_folder()
    if machine.offline:
        problems.append(
            f"the weights of {model.model} are not in {cache}, and HF_HUB_OFFLINE is set: unset it, or run "
            f"`hf download {model.model}` where there is a network and give the folder"
        )
    elif model.weights_bytes is None:
        notes.append(f"{model.model} will be downloaded to {cache}; its size is not known")
    elif machine.disk_free is not None and machine.disk_free < model.weights_bytes:
        problems.append(
            f"{model.model} is a download of {_gb(model.weights_bytes)}, {cache} has {_gb(machine.disk_free)} free: "
            "set HF_HOME to a larger disk"
        )
    else:
        notes.append(f"{model.model} will be downloaded to {cache}: {_gb(model.weights_bytes)}")


def _judge_cards(
    gpus: tuple[Gpu, ...], model: ModelFacts, plan: LoadRequest, problems: list[str], notes: list[str]
) -> None:
    if plan.cards > len(gpus):
        problems.append(
            f"{plan.cards} GPUs are requested, this machine has {len(gpus)}: lower tensor_parallel_size"
        )
        return
    used = gpus[: plan.cards]
    loaded, cache = _loaded(model, plan, on_cpu=False), (model.kv_bytes_per_token or 0) * plan.context
    room, free = (sum(getattr(card, name) for card in used) for name in ("memory", "free"))
    where = f"{len(used)} x {used[0].name}" if len(used) > 1 else used[0].name
    if loaded is not None and loaded + cache > room * USABLE:
        more = "" if plan.cards >= len(gpus) else f", `engine_args` tensor_parallel_size={len(gpus)}"
        problems.append(
            f"{model.model} needs {_gb(loaded)} and {_gb(cache)} for one prompt of {plan.context} tokens, {where} has "
            f"{_gb(room)}: use a smaller or quantised model{more}, or a server with `engine` openai"
        )
    elif loaded is not None and loaded + cache > free:
        notes.append(
            f"{where} has {_gb(free)} of {_gb(room)} free, {_gb(loaded + cache)} is needed: see nvidia-smi for "
            "other programs on it"
        )
    old = next((card for card in used if card.capability and card.capability < (8, 0)), None)
    if old is not None and (plan.dtype == "bfloat16" or (plan.dtype == "auto" and model.prefers_bfloat16)):
        advice = f"{old.name} has no bfloat16"
        if plan.engine == "vllm":
            problems.append(f"{advice}: add `engine_args` dtype=float16")
        elif plan.dtype == "auto":
            notes.append(f"{advice}: float16 is used, results differ a little from bfloat16")
        else:
            notes.append(f"{advice} and will be slow: leave dtype out, or `engine_args` dtype=float16")


def _judge_memory(
    machine: MachineFacts, model: ModelFacts, plan: LoadRequest, problems: list[str], notes: list[str]
) -> None:
    on_cpu = plan.device == "cpu" or not machine.unified
    loaded, cache = _loaded(model, plan, on_cpu=on_cpu), (model.kv_bytes_per_token or 0) * plan.context
    if loaded is None:
        return
    need = loaded + cache
    wide = (
        on_cpu and plan.engine == "transformers" and plan.dtype in ("auto", "float32") and not model.quantised
    )
    smaller = "`engine_args` dtype=bfloat16 halves it, " if wide else ""
    way_out = f"{smaller}or use a smaller model, a GPU, or a server with `engine` openai"
    if machine.memory is not None and need > machine.memory:
        problems.append(
            f"{model.model} needs {_gb(need)} of memory, this machine has {_gb(machine.memory)} and no GPU: {way_out}"
        )
    elif machine.memory_free is not None and need > machine.memory_free:
        notes.append(f"{_gb(machine.memory_free)} of memory is free, {_gb(need)} is needed: {way_out}")
    if on_cpu and loaded >= SLOW_ON_CPU:
        notes.append(
            f"{model.model} on a CPU takes minutes a window: use a GPU, or a server with `engine` openai"
        )


def _loaded(model: ModelFacts, plan: LoadRequest, *, on_cpu: bool) -> int | None:
    if model.weights_bytes is None or model.quantised:
        return model.weights_bytes
    asked = plan.dtype
    if asked == "auto":
        width = 4 if on_cpu and plan.engine == "transformers" else min(model.width, 4 if on_cpu else 2)
    else:
        width = WIDTHS.get(asked, model.width)
    return model.weights_bytes * width // model.width


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


def _count(args: Mapping[str, Any], name: str) -> int:
    value = args.get(name, 1)
    if type(value) is not int or value < 1:
        raise InputError(f"`engine_args` {name}={value}: it must be a whole number from 1 up")
    return value


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
