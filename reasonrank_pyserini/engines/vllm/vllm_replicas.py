"""How many servers an engine starts, and which part of the machine each gets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...models.machine import graphics_cards
from .. import EngineConfig

SEQUENCES = 256
"""Requests that one server runs together, unless max_num_seqs says otherwise."""


def normalised(args: Mapping[str, Any]) -> dict[str, Any]:
    """`args` in vLLM's spelling (`tensor-parallel-size` is `tensor_parallel_size`)."""
    return {name.lstrip("-").replace("-", "_"): value for name, value in args.items()}


def cards_per_replica(config: EngineConfig) -> int:
    """GPUs that one server takes."""
    return _whole(config, "tensor_parallel_size", 1) * _whole(config, "pipeline_parallel_size", 1)


def requests_together(config: EngineConfig) -> int:
    """Requests that one server runs together; InputError for an invalid number."""
    return _whole(config, "max_num_seqs", SEQUENCES)


def _whole(config: EngineConfig, name: str, default: int) -> int:
    value = normalised(config.args).get(name, default)
    if type(value) is not int or value < 1:
        raise InputError(f"engine argument {name}={value!r} is not a whole number of at least 1")
    return value


def replica_environments(config: EngineConfig, *, on_cpu: bool) -> Sequence[dict[str, str]]:
    """For each server the variables that give it its part of the machine: its GPUs, or on a CPU its cores.

    Without a requested number there is one server for every group of GPUs, on a CPU one.
    """
    count = config.replicas
    if count is not None and count < 1:
        raise InputError(f"`replicas` is {count}: it must be at least 1")
    each = cards_per_replica(config)
    if config.ray is not None:  # Ray gives each its GPUs
        return [{}]
    if on_cpu:
        return _core_shares(count or 1) if each == 1 else [{} for _ in range(count or 1)]
    cards = visible_cards()
    if not cards:  # nvidia-smi is missing: vLLM finds what there is
        if count is None or count == 1:
            return [{}]
        raise InputError("`replicas` needs the GPUs that nvidia-smi lists, and it lists none: leave it out")
    groups = [cards[start : start + each] for start in range(0, len(cards) - each + 1, each)]
    if (count or 1) > len(groups):
        raise InputError(
            f"{count or 1} servers with {each} GPUs each are requested, this machine has {len(cards)}: lower "
            "`replicas` or tensor_parallel_size"
        )
    return [{"CUDA_VISIBLE_DEVICES": ",".join(group)} for group in groups[:count]]


def visible_cards() -> list[str]:
    """The GPUs that CUDA programs see, as CUDA_VISIBLE_DEVICES names them."""
    cards = graphics_cards()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(len(cards))]
    return [name.strip() for name in named.split(",") if name.strip()][: len(cards)]


def _core_shares(count: int) -> list[dict[str, str]]:
    """The processor cores in equal shares; nothing for a single server, or where the user binds threads."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if count > len(cores) > 0:
        raise InputError(f"`replicas` is {count}, this machine has {len(cores)} processor cores")
    if count == 1 or "VLLM_CPU_OMP_THREADS_BIND" in os.environ or not cores:
        return [{} for _ in range(count)]
    size = len(cores) // count
    shares = [cores[number * size : (number + 1) * size] for number in range(count)]
    return [{"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, share))} for share in shares]
