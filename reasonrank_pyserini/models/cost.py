"""The time of a reranking on saturated GPUs: a model of prefill and decode, not a measurement.

Prefill costs 2 operations per parameter and token. A decode step reads the weights and the keys and values of all
windows in flight, as many as fit in memory. The efficiency (60% of peak arithmetic, 80% of memory bandwidth, 1.5 ms
overhead a step) is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, UnknownNameError
from .profiles import Profile

WINDOW_PROMPT_TOKENS, WINDOW_NEW_TOKENS = 5687, 750
"""Tokens in and out for a window of 20 passages of 512 tokens: ReasonRank-7B with its authors' code on BRIGHT
economics (5.27 M and 0.70 M over 927 windows)."""
ARITHMETIC, BANDWIDTH, MEMORY, STEP = 0.6, 0.8, 0.9, 1.5e-3
MAX_BATCH = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A class of GPU by its maker's specifications: dense 16-bit operations/s, bytes/s, bytes."""

    name: str
    flops: float
    bandwidth: float
    memory: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-80g", 312e12, 2.04e12, 80e9),
        Gpu("h100", 790e12, 3.35e12, 80e9),
        Gpu("h200", 790e12, 4.3e12, 139e9),
        Gpu("rtx-4090", 165e12, 1.01e12, 24e9),
        Gpu("l4", 121e12, 0.3e12, 24e9),
    )
}


def find_gpu(name: str) -> Gpu:
    """The GPU class of that name; UnknownNameError otherwise."""
    if name not in GPUS:
        raise UnknownNameError("GPU class", name, GPUS)
    return GPUS[name]


def modelled_seconds(
    profile: Profile, gpu: Gpu, windows: int, prompt: float, new: float, count: int = 1
) -> float | None:
    """Seconds that `count` GPUs need for that many windows of `prompt` tokens in and `new` out.

    Windows are shared evenly among the GPUs; a model too large for one is split over all. None when the profile
    lacks the model's size. Raises InputError when the model does not fit at all.
    """
    size = profile.size
    if size.parameters is None or size.weights_bytes is None or size.kv_bytes_per_token is None:
        return None
    cache = size.kv_bytes_per_token * (prompt + new / 2)
    alone = MEMORY * gpu.memory - size.weights_bytes >= cache
    flops, bandwidth, memory = gpu.flops, gpu.bandwidth, gpu.memory
    share = windows / count
    if not alone:
        flops, bandwidth, memory, share = flops * count, bandwidth * count, memory * count, windows
    batch = min(MAX_BATCH, share, (MEMORY * memory - size.weights_bytes) / cache)
    if windows and (MEMORY * memory - size.weights_bytes) < cache:
        raise InputError(
            f"{profile.name} needs {size.weights_bytes / 1e9:.0f} GB for its weights and {cache / 1e9:.1f} GB a "
            f"window: {count} x {gpu.name} ({gpu.memory / 1e9:.0f} GB each) cannot hold it, use more `gpus`"
        )
    if not windows:
        return 0.0
    prefill = share * prompt * 2 * size.parameters / (ARITHMETIC * flops)
    step = (size.weights_bytes + batch * cache) / (BANDWIDTH * bandwidth) + STEP
    return prefill + share * new / batch * step


def duration(seconds: float) -> str:
    """Rounded, in seconds, minutes or hours."""
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"
