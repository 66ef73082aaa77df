"""The memory that a training takes on each GPU, modelled from the network's size, not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .recipe import Grpo, Optimisation, Sft, Size

GIB = 1 << 30
HEAD_ROWS = 256
"""Rows of logits that TRL holds at a time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on each GPU by their use."""

    weights: int
    gradients: int
    optimizer: int
    reference: int
    activations: int
    gathered: int
    """Whole layers that sharding gathers for a moment, and rows of logits."""

    @property
    def total(self) -> int:
        return sum(getattr(self, item.name) for item in fields(self))

    def lines(self, gpus: int, sharding: str) -> list[str]:
        """For the user, in GiB, marked as modelled."""
        spread = f"over {gpus} GPUs with {sharding}" if sharding != "none" else "without sharding"
        parts = [f"  {item.name:<12} {getattr(self, item.name) / GIB:7.1f}" for item in fields(self)]
        return [f"memory a GPU, GiB, {spread} (modelled, not measured)", *parts,
                f"  {'all':<12} {self.total / GIB:7.1f}"]  # fmt: skip


def size_of(config: Mapping[str, Any]) -> Size | None:
    """The size of a Qwen- or Llama-like network by its config.json; None when that does not say."""
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads")
    values = [config.get(name) for name in names]
    if not all(isinstance(value, int) and value > 0 for value in values):
        return None
    layers, hidden, inner, vocabulary, heads = map(int, values)  # type: ignore[arg-type]
    width = int(config.get("head_dim") or hidden // heads)
    kv_width = int(config.get("num_key_value_heads") or heads) * width
    bias = heads * width + 2 * kv_width if config.get("model_type") == "qwen2" else 0
    norms = 2 * width if config.get("model_type") == "qwen3" else 0
    layer = (
        2 * hidden * heads * width + 2 * hidden * kv_width + bias + norms + 3 * hidden * inner + 2 * hidden
    )
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return Size(layers * layer + embeddings + hidden, layers, hidden, inner, vocabulary, kv_width)


def lora_parameters(size: Size, rank: int) -> int:
    """The number of weights of adapters on every linear layer except the head."""
    h, i, kv = size.hidden, size.intermediate, size.kv_width
    return size.layers * rank * (2 * (h + h) + 2 * (h + kv) + 3 * (h + i))


def estimate_memory(settings: Sft | Grpo, size: Size, *, gpus: int, sharding: str = "fsdp") -> Memory:
    """Bytes on each GPU, for sequences of the recipe's full length.

    `sharding` is "fsdp", "zero3" or "none". Full training in bfloat16 keeps 16 bytes a weight either way:
    FSDP 4 + 4 + 8 (float32 weights, gradients, two moments), ZeRO-3 2 + 2 + 12 (the float32 copy counts as
    optimizer). LoRA keeps the frozen network in the precision and 16 bytes an adapter's weight.
    """
    share = 1 if sharding == "none" else gpus
    width = 2 if settings.precision == "bfloat16" else 4
    trained = size.parameters if settings.method == "full" else lora_parameters(size, settings.lora_rank)
    frozen = 0 if settings.method == "full" else size.parameters * width
    low = sharding == "zero3" and width == 2
    reference = isinstance(settings, Grpo) and settings.method == "full" and settings.beta > 0
    layer = size.parameters // (size.layers + 1)
    widest = max(layer, size.vocabulary * size.hidden)
    return Memory(
        weights=(trained * (2 if low else 4) + frozen) // share,
        gradients=trained * (2 if low else 4) // share,
        optimizer=trained * (12 if low else 8) // share,
        reference=size.parameters * (2 if low else 4) // share if reference else 0,
        activations=_activations(settings, size, width),
        gathered=(2 * widest * width if share > 1 else 0) + 2 * HEAD_ROWS * size.vocabulary * 4,
    )


def _activations(settings: Optimisation, size: Size, width: int) -> int:
    """With checkpointing the inputs of every layer and the inside of one, else the inside of every layer."""
    longest = settings.cutoff if isinstance(settings, Sft) else _longest(settings)
    tokens = settings.per_device_batch * longest
    inside = tokens * (8 * size.hidden + 2 * size.kv_width + 4 * size.intermediate) * width
    if not settings.gradient_checkpointing:
        return size.layers * inside
    return size.layers * tokens * size.hidden * width + inside


def _longest(settings: Optimisation) -> int:
    assert isinstance(settings, Grpo)
    return settings.max_prompt + settings.max_completion
