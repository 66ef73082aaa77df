"""Decoding with a transformers model, in its engine and in reinforcement: rows share one key-value cache.

They join and leave between steps. A prompt is prefilled alone, unpadded, so that its state and first token never
depend on other rows; rows are then stepped together, padded on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

from ..types import Sampling

HEADROOM = 256
"""Columns by which the cache grows."""

Pairs = list[tuple[Any, Any]]
"""One row's keys and values, a pair of tensors (1, heads, length, width) per layer."""


class GrowingLayer:
    """One layer's keys and values in a buffer with spare columns, so that a step writes one column and copies nothing.

    Has the interface of a transformers cache layer: `update` returns all columns so far, for attention.
    """

    is_sliding = False
    is_compileable = False
    is_initialized = True
    is_croppable = False

    def __init__(self, keys: Any, values: Any, length: int) -> None:
        self.buffers = (keys, values)
        self.length = length

    @property
    def keys(self) -> Any:
        return self.buffers[0][:, :, : self.length]

    @property
    def values(self) -> Any:
        return self.buffers[1][:, :, : self.length]

    def update(self, keys: Any, values: Any, *_args: Any, **_kwargs: Any) -> tuple[Any, Any]:
        end = self.length + keys.shape[-2]
        if end > self.buffers[0].shape[-2]:
            self.buffers = (_widened(self.buffers[0], end), _widened(self.buffers[1], end))
        self.buffers[0][:, :, self.length : end] = keys
        self.buffers[1][:, :, self.length : end] = values
        self.length = end
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        return -1


class Decoder:
    """A causal language model with the cache of the rows being decoded, in the order given to `replace`."""

    def __init__(self, model: Any, device: Any) -> None:
        from transformers.cache_utils import CacheLayerMixin

        CacheLayerMixin.register(GrowingLayer)  # so that isinstance works without importing torch here
        self.model, self.device = model, device
        accepted = signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in accepted else "past_key_values"  # transformers 5 renames it
        self.lengths: list[int] = []
        self._layers: list[GrowingLayer] = []
        self._columns = 0

    def prefill(self, ids: Sequence[int]) -> tuple[Any, Pairs]:
        """The next token's logits (float32, one per token) and the state of a prompt, prefilled alone."""
        import torch
        from transformers import DynamicCache

        with torch.inference_mode():
            cache = DynamicCache()
            tokens = torch.tensor([list(ids)], device=self.device)
            logits = self._forward(cache, input_ids=tokens)
            return logits[0], [(layer.keys, layer.values) for layer in cache.layers]

    def replace(self, keep: Sequence[int], new: Sequence[Pairs]) -> None:
        """Make the rows those at the positions `keep`, followed by the prefilled `new` ones."""
        import torch

        lengths = [self.lengths[row] for row in keep] + [pairs[0][0].shape[-2] for pairs in new]
        columns = max(lengths, default=0)
        with torch.inference_mode():
            count = (len(new[0]) if new else len(self._layers)) if lengths else 0
            old, self._layers = self._layers, []
            for number in range(count):
                states = [self._row(old[number], row) for row in keep] + [pairs[number] for pairs in new]
                keys, values = (_stacked([state[side] for state in states], columns) for side in (0, 1))
                self._layers.append(GrowingLayer(keys, values, columns))
                if number < len(old):
                    old[number].buffers = ()  # type: ignore[assignment]  # so that at most one layer is in memory twice
        self.lengths, self._columns = lengths, columns

    def step(self, tokens: Sequence[int]) -> Any:
        """The next logits (rows, tokens; float32) after one more token per row; an error leaves the rows unchanged."""
        import torch
        from transformers.cache_utils import Cache

        with torch.inference_mode():
            columns = self._columns
            lengths = torch.tensor(self.lengths, device=self.device)
            mask = None
            if min(self.lengths) < columns:
                places = torch.arange(columns + 1, device=self.device)
                mask = places[None, :] >= (columns - lengths)[:, None]
            try:
                logits = self._forward(
                    Cache(layers=list(self._layers)),
                    input_ids=torch.tensor(tokens, device=self.device)[:, None],
                    position_ids=lengths[:, None],
                    attention_mask=mask,
                )
            except BaseException:
                for layer in self._layers:
                    layer.length = columns
                raise
        self._columns += 1
        self.lengths = [length + 1 for length in self.lengths]
        return logits

    def clear(self) -> None:
        """Drop all rows and return their memory to the device."""
        import torch

        self.lengths, self._layers, self._columns = [], [], 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forward(self, cache: Any, **inputs: Any) -> Any:
        inputs[self._cache_name] = cache
        output = self.model(**inputs, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float()

    def _row(self, layer: GrowingLayer, row: int) -> tuple[Any, Any]:
        start = self._columns - self.lengths[row]
        return layer.keys[row : row + 1, :, start:], layer.values[row : row + 1, :, start:]


def greedy(logits: Any) -> list[int]:
    """The most likely token of each row, the lowest id on ties; -1 for a row with NaN."""
    best, ids = logits.max(dim=-1)
    return [-1 if value != value else id for value, id in zip(best.tolist(), ids.tolist(), strict=True)]


def draw(logits: Any, sampling: Sampling, generator: Any) -> int:
    """Sample one token from one row's logits (-1 for NaN): temperature, top-k, top-p, min-p, one uniform number.

    The number comes from the row's own generator, so a request's tokens depend on its seed alone.
    """
    import torch

    with torch.inference_mode():
        probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
        top = min(sampling.top_k or probabilities.numel(), probabilities.numel())
        kept, ids = torch.sort(probabilities, descending=True, stable=True)
        kept = kept[:top] / kept[:top].sum()
        before = kept.cumsum(dim=-1) - kept
        allowed = (before < sampling.top_p) & (kept >= sampling.min_p * kept[0])
        allowed[0] = True
        total = torch.where(allowed, kept, torch.zeros_like(kept)).double().cumsum(dim=-1)
        point = torch.rand((), generator=generator, dtype=torch.float64).to(total.device) * total[-1]
        if bool(torch.isnan(point)):
            return -1
        place = int(torch.searchsorted(total, point, right=True))
        last = int(allowed.nonzero()[-1])
        return int(ids[min(place, last)])


def restricted(logits: Any, allowed: Sequence[Sequence[int]]) -> Any:
    """The logits with all but each row's `allowed` ids impossible; a row without any is unchanged."""
    if not any(allowed):
        return logits
    masked = logits.clone()
    for row, ids in enumerate(allowed):
        if ids:
            masked[row] = float("-inf")
            masked[row, list(ids)] = logits[row, list(ids)]
    return masked


def top_logprobs(logits: Any, sampling: Sampling) -> dict[int, float]:
    """The log-probabilities of a row's likeliest tokens and of the allowed ones, before any restriction."""
    import torch

    with torch.inference_mode():
        values = torch.log_softmax(logits.double(), dim=-1)
        count = min(sampling.logprobs or 0, values.numel())
        ids = dict.fromkeys([*values.topk(count).indices.tolist(), *sampling.allowed_ids])
        return {id: float(values[id]) for id in ids}


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on any device."""
    import torch

    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def device_lost(error: BaseException) -> bool:
    """Whether an error leaves the device unusable for this process."""
    import torch

    broken = getattr(torch, "AcceleratorError", None)
    return (broken is not None and isinstance(error, broken)) or "CUDA error" in str(error)


def _stacked(rows: list[Any], columns: int) -> Any:
    first = rows[0]
    shape = (len(rows), first.shape[1], columns + HEADROOM, first.shape[3])
    buffer = first.new_zeros(shape)  # zeros, because a masked NaN would still spoil the sum
    for number, row in enumerate(rows):
        buffer[number, :, columns - row.shape[-2] : columns] = row[0]
    return buffer


def _widened(buffer: Any, end: int) -> Any:
    wider = buffer.new_zeros((*buffer.shape[:2], end + HEADROOM, buffer.shape[3]))
    wider[:, :, : buffer.shape[2]] = buffer
    return wider
