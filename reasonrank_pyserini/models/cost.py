"""What a reranking costs on a GPU that is kept full: a model of prefill and decode, not a measurement.

Prefill costs 2 operations a parameter and token. A decode step reads the weights and the keys and values of
every window under way, as many as fit in memory. The shares of peak speed that are reached (60% of arithmetic,
80% of memory bandwidth, 1.5 ms a step) are assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, UnknownNameError
from .profiles import Profile

WINDOW_PROMPT_TOKENS, WINDOW_NEW_TOKENS = 5687, 750
"""Tokens in and out a window of 20 passages of 512 tokens: ReasonRank-7B by its authors' code, BRIGHT economics
(5.27 M and 0.70 M over 927 windows)."""
ARITHMETIC, BANDWIDTH, MEMORY, STEP = 0.6, 0.8, 0.9, 1.5e-3
MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """A class of GPU by its maker's figures: dense 16-bit operations/s, bytes/s, bytes."""

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

    The windows of all GPUs are shared evenly; a model that is too large for one is split over all of them.
    None when the profile does not say the model's size. Raises InputError when it does not fit at all.
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
    batch = min(MOST_AT_ONCE, share, (MEMORY * memory - size.weights_bytes) / cache)
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
    """In words: seconds, minutes or hours."""
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"
