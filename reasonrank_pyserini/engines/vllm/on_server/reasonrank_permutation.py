"""The logits processor that makes a vLLM server write permutations.

A server loads this file by name from its Python path, and may have another environment than the one that started it:
so it imports nothing of the package, and reads the rules of answers (`prompts/grammar.py`) as a file. One class serves
both of vLLM's model runners: V1 (CPUs, older configurations) and V2 (the default on GPUs).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as V2Processor
except ImportError:  # an older vLLM, without the V2 runner

    class V2Processor:  # type: ignore[no-redef]
        """Nothing to inherit."""


KEY = "reasonrank_permutation"
"""The name under which a request carries its permutation, as a JSON object in a string: `vllm_xargs` has no objects."""


def _read_rules() -> ModuleType:
    """The module `prompts/grammar.py`, read as a file."""
    path = Path(__file__).resolve().parents[3] / "prompts" / "grammar.py"
    spec = importlib.util.spec_from_file_location("reasonrank_grammar", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


grammar = _read_rules()


class PermutationProcessor(AdapterLogitsProcessor, V2Processor):  # type: ignore[misc]
    """Masks every token that cannot continue the permutation that a request asks for; other requests are left alone."""

    def __init__(self, vllm_config: Any, *runner: Any) -> None:
        """`runner`: device and pinning of V1, or the request states of V2."""
        self._model = vllm_config.model_config
        self._guides: dict[int, Any] = {}
        if len(runner) == 2:
            AdapterLogitsProcessor.__init__(self, vllm_config, *runner)
        else:
            (self._states,) = runner

    @classmethod
    def validate_params(cls, params: Any) -> None:
        """ValueError for a request whose permutation cannot be read."""
        asked = _asked(params)
        if asked is not None:
            grammar.Grammar(asked.passages, asked.count)

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        """V1: the function that masks one request's row, given the tokens written so far; None to leave it alone."""
        guide = self._guide(params)
        if guide is None:
            return None

        def process(written: list[int], logits: Any) -> Any:
            _mask(logits, guide.follow(written[guide.seen :]).allowed())
            return logits

        return process

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """V2: a request takes that slot; whether it is to be masked."""
        self._guides.pop(req_idx, None)
        guide = self._guide(sampling_params)
        if guide is not None:
            self._guides[req_idx] = guide
        return guide is not None

    def apply(self, logits: Any, ctx: Any = None) -> Any:
        """V1 without a context; with one V2, which keeps the tokens so far on the device."""
        if ctx is None:
            return AdapterLogitsProcessor.apply(self, logits)
        if self._guides.keys().isdisjoint(ctx.idx_mapping_np.tolist()):
            return logits
        ends = (ctx.pos + 1).tolist()
        for row, slot in enumerate(ctx.expanded_idx_mapping.tolist()):
            if (guide := self._guides.get(slot)) is not None:
                start = int(self._states.prompt_len.np[slot]) + guide.seen
                written = self._states.all_token_ids.gpu[slot, start : ends[row]].tolist()
                _mask(logits[row], guide.follow(written).allowed())
        return logits

    def _guide(self, params: Any) -> Any:
        """The guide of one request; None without a permutation, or for a tokenizer that cannot spell one."""
        asked = _asked(params)
        if asked is None:
            return None
        vocabulary = _vocabulary(_TokenizerKey(self._model))
        return grammar.Guide(vocabulary, asked, params.all_stop_token_ids) if vocabulary.covers else None


def _asked(params: Any) -> Any:
    """The permutation that a request asks for; None without one, ValueError for a damaged one."""
    text = (params.extra_args or {}).get(KEY)
    if text is None:
        return None
    try:
        fields = json.loads(text)
        return SimpleNamespace(**{name: fields[name] for name in ("passages", "count", "answer", "written")})
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{KEY} cannot be read: {error}") from None


class _TokenizerKey:
    """A model's configuration as a cache key, by its tokenizer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._key = (model.tokenizer, model.tokenizer_revision)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _TokenizerKey) and self._key == other._key


@lru_cache(maxsize=2)
def _vocabulary(key: _TokenizerKey) -> Any:
    from vllm.tokenizers import cached_tokenizer_from_config

    return grammar.Vocabulary(grammar.token_texts(cached_tokenizer_from_config(key.model)))


def _mask(logits: Any, allowed: Any) -> None:
    """Leave only the allowed tokens in one row of logits; None allows all."""
    if allowed is None:
        return
    places = torch.tensor(allowed, device=logits.device)
    kept = logits[places]
    logits.fill_(float("-inf"))
    logits[places] = kept
