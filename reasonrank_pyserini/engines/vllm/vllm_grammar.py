"""Logits processors that make vLLM write permutations, by the rules of `prompts.grammar`.

vLLM looks the classes up by name in its own processes, depending on its model runner: `V1Processor` (CPUs, older
configurations) and `V2Processor` (the default on GPUs). They are created on access, so that importing this module
loads neither vLLM nor torch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from ...prompts.grammar import Guide, Vocabulary, token_texts
from ...types import Permutation

log = logging.getLogger(__name__)

KEY = "reasonrank_permutation"
"""The name under which a request carries its permutation, in `SamplingParams.extra_args`."""
_V2_INTERFACE = "vllm.v1.worker.gpu.sample.logits_processor"


def install(vllm_config: Any) -> None:
    """Configure an engine that is about to start to enforce permutations.

    With speculative decoding, a tokenizer without a token for every character of an answer, or a vLLM without this
    interface for its model runner, a warning is logged and answers are not constrained.
    """
    v2 = bool(getattr(vllm_config, "use_v2_model_runner", False))
    cannot = vllm_config.speculative_config is not None or (v2 and not _exists(_V2_INTERFACE))
    if cannot or not _vocabulary(_Config(vllm_config.model_config)).covers:
        log.warning(
            "this vLLM cannot enforce permutations with these arguments and this tokenizer: answers are not "
            "constrained"
        )
        return
    model = vllm_config.model_config
    name = f"{__name__}:{'V2Processor' if v2 else 'V1Processor'}"
    model.logits_processors = [*(model.logits_processors or ()), name]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def request_arguments(asked: Permutation | None) -> dict[str, Any] | None:
    """The request arguments that pass a permutation to the processor."""
    return None if asked is None else {KEY: asdict(asked)}


def new_guide(vllm_config: Any, parameters: Any) -> Guide | None:
    """The guide of one request; None for a request without a permutation, or a tokenizer that cannot spell one."""
    asked = (parameters.extra_args or {}).get(KEY)
    if asked is None:
        return None
    vocabulary = _vocabulary(_Config(vllm_config.model_config))
    if not vocabulary.covers:
        return None
    return Guide(vocabulary, Permutation(**asked), parameters.all_stop_token_ids)


class _Config:
    """A model configuration as a cache key, by its tokenizer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._key = (model.tokenizer, model.tokenizer_revision)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Config) and self._key == other._key


@lru_cache(maxsize=2)
def _vocabulary(config: _Config) -> Vocabulary:
    from vllm.tokenizers import cached_tokenizer_from_config

    return Vocabulary(token_texts(cached_tokenizer_from_config(config.model)))


def keep_only(logits: Any, allowed: Sequence[int]) -> None:
    """Mask all tokens but the allowed ones in one row of logits."""
    import torch

    places = torch.tensor(allowed, device=logits.device)
    kept = logits[places]
    logits.fill_(float("-inf"))
    logits[places] = kept


def __getattr__(name: str) -> Any:
    makers = {"V1Processor": _v1_processor, "V2Processor": _v2_processor}
    if name not in makers:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return makers[name]()


@lru_cache(maxsize=1)
def _v1_processor() -> type:
    from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

    class V1Processor(AdapterLogitsProcessor):  # type: ignore[misc]
        """One guide per request; at every step vLLM passes the request's tokens so far and its row of logits."""

        def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
            super().__init__(vllm_config, device, is_pin_memory)
            self._config = vllm_config

        def is_argmax_invariant(self) -> bool:
            return False

        def new_req_logits_processor(self, params: Any) -> Any:
            guide = new_guide(self._config, params)
            if guide is None:
                return None

            def process(written: list[int], logits: Any) -> Any:
                allowed = guide.follow(written[guide.seen :]).allowed()
                if allowed is not None:
                    keep_only(logits, allowed)
                return logits

            return process

    return V1Processor


@lru_cache(maxsize=1)
def _v2_processor() -> type:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor

    class V2Processor(LogitsProcessor):  # type: ignore[misc]
        """One guide per slot; the tokens so far are read from the device if the batch has a constrained request."""

        def __init__(self, vllm_config: Any, req_states: Any) -> None:
            self._config, self._requests = vllm_config, req_states
            self._guides: dict[int, Guide] = {}

        def add_request(self, req_idx: int, sampling_params: Any) -> bool:
            self._guides.pop(req_idx, None)
            guide = new_guide(self._config, sampling_params)
            if guide is not None:
                self._guides[req_idx] = guide
            return guide is not None

        def apply(self, logits: Any, ctx: Any) -> Any:
            if self._guides.keys().isdisjoint(ctx.idx_mapping_np.tolist()):
                return logits
            ends = (ctx.pos + 1).tolist()
            for row, slot in enumerate(ctx.expanded_idx_mapping.tolist()):
                if (guide := self._guides.get(slot)) is not None:
                    start = int(self._requests.prompt_len.np[slot]) + guide.seen
                    written = self._requests.all_token_ids.gpu[slot, start : ends[row]].tolist()
                    allowed = guide.follow(written).allowed()
                    if allowed is not None:
                        keep_only(logits[row], allowed)
            return logits

    return V2Processor
