"""The transformers engine: causal language models in this process, on CPU, CUDA or MPS."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Self

from ...errors import EngineDiedError, EngineError, InputError, PromptTooLongError, UnknownNameError
from ...models.identity import folder_hash, load_tokenizer, model_identity, tokenizer_hash
from ...types import Completion, Limits, Prompt, Sampling
from .. import EngineConfig
from ..cached_decoding import Decoder
from ..priority import ENGINE_PRIORITY
from .batching import BatchThread, Job
from .model_loading import DTYPES, Loaded, load, pick_device, pick_dtype

QUEUED_BATCHES = 2
"""Requests in flight, in batches: one running and one waiting to join it."""


@dataclass(frozen=True, slots=True)
class TransformersOptions:
    """The engine's arguments (`engine_args`).

    `batch_size`: rows decoded together. `batch_tokens`: padded tokens of cache in total (default: half of the
    memory left after loading). `lora`: folder of a LoRA adapter, merged when loading (needs peft).
    """

    device: str = "auto"
    dtype: str = "auto"
    attn_implementation: str | None = None
    batch_size: int | None = None
    batch_tokens: int | None = None
    lora: str | None = None
    max_model_len: int | None = None

    @classmethod
    def read(cls, args: Mapping[str, Any]) -> TransformersOptions:
        """The options from engine arguments; UnknownNameError or InputError for bad ones."""
        known = {item.name: item for item in fields(cls)}
        for name, value in args.items():
            if name not in known:
                raise UnknownNameError("engine argument", name, known, "of `engine` transformers")
            number = name in ("batch_size", "batch_tokens", "max_model_len")
            if number and not (type(value) is int and value > 0):
                raise InputError(f"`engine_args` {name}={value}: it must be a whole number from 1 up")
            if not number and not (isinstance(value, str) and value):
                raise InputError(f"`engine_args` {name}={value}: it must be a word")
        options = cls(**args)
        if options.dtype not in DTYPES:
            raise UnknownNameError("dtype", options.dtype, DTYPES)
        return options


class TransformersEngine:
    """Engine over transformers: concurrent calls share one padded batch, whose rows can change at every step.

    A request's tokens depend on its prompt, its sampling and, with temperature, its seed; in float32 not on the
    other rows, except for ties within rounding error. Greedy below temperature 1e-5.
    """

    def __init__(self, config: EngineConfig, options: TransformersOptions) -> None:
        self._config, self._options = config, options
        self._loaded: Loaded | None = None
        self._thread: BatchThread | None = None
        self._tokenizer: Any = None
        self._context: int | None = None
        self._identity: Mapping[str, Any] | None = None

    @classmethod
    def from_config(cls, config: EngineConfig) -> TransformersEngine:
        """The engine, not yet loaded; InputError for settings that it cannot apply."""
        if config.api == "chat":
            raise InputError("`api` chat goes with `engine` openai; `engine` transformers takes token ids")
        return cls(config, TransformersOptions.read(config.args))

    @property
    def limits(self) -> Limits:
        """Two batches of requests, so that a new one is ready when a row ends."""
        return Limits(requests=QUEUED_BATCHES * self._batch_size)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Engine, weights, tokenizer, dtype and adapter, but not device and batch size."""
        return self._identity or self._identify()

    def _identify(self) -> Mapping[str, Any]:
        config, options = self._config, self._options
        return {
            "engine": "transformers",
            **model_identity(config.model, config.revision),
            "tokenizer": tokenizer_hash(config.tokenizer or config.model, self._tokenizer_revision),
            "dtype": pick_dtype(options.dtype, pick_device(options.device)),
            "attention": options.attn_implementation,
            "adapter": None if options.lora is None else folder_hash(options.lora),
        }

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer; None before the engine is started."""
        return self._tokenizer

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """The model's continuation of the prompt's token ids, without the end-of-turn token."""
        if self._thread is None or self._loaded is None:
            raise EngineDiedError("the transformers engine is not running: use it inside `async with`")
        job = Job(self._checked(prompt, sampling), sampling, _seed(sampling), ENGINE_PRIORITY.get())
        self._thread.submit(job)
        return await asyncio.wrap_future(job.future)

    async def __aenter__(self) -> Self:
        if self._thread is not None:
            raise EngineError("the transformers engine is already running")
        self._tokenizer, loaded = await asyncio.to_thread(self._load)
        self._loaded = loaded
        self._thread = BatchThread(
            Decoder(loaded.model, loaded.device),
            self._decode,
            loaded.stop_ids | {self._tokenizer.eos_token_id},
            rows=self._batch_size,
            tokens=self._options.batch_tokens or loaded.cache_tokens,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, self._thread, self._loaded = self._thread, None, None
        if thread is not None:
            await asyncio.to_thread(thread.stop)

    @property
    def _batch_size(self) -> int:
        if self._options.batch_size is not None:
            return self._options.batch_size
        return 32 if pick_device(self._options.device).type == "cuda" else 8

    @property
    def _tokenizer_revision(self) -> str | None:
        return None if self._config.tokenizer else self._config.revision

    def _load(self) -> tuple[Any, Loaded]:
        config, options = self._config, self._options
        tokenizer = load_tokenizer(config.tokenizer or config.model, self._tokenizer_revision)
        loaded = load(
            config.model,
            config.revision,
            device=options.device,
            dtype=options.dtype,
            attention=options.attn_implementation,
            adapter=options.lora,
        )
        asked = options.max_model_len or config.max_model_len
        if asked is not None and loaded.context is not None and asked > loaded.context:
            raise InputError(f"a context of {asked} tokens is requested, the model has {loaded.context}")
        self._context = asked or loaded.context
        self._identity = self._identify()
        return tokenizer, loaded

    def _checked(self, prompt: Prompt, sampling: Sampling) -> tuple[int, ...]:
        ids, loaded = prompt.token_ids, self._loaded
        if not ids:
            raise EngineError("the transformers engine needs the prompt's token ids")
        if loaded is not None and not all(0 <= id < loaded.vocabulary for id in sampling.allowed_ids):
            raise EngineError(f"`allowed_ids` must be from 0 to {loaded.vocabulary - 1}")
        if sampling.max_tokens < 1:
            raise EngineError(f"max_tokens is {sampling.max_tokens}: it must be at least 1")
        if loaded is not None and not (min(ids) >= 0 and max(ids) < loaded.vocabulary):
            raise EngineError(
                f"the prompt has token id {max(ids) if min(ids) >= 0 else min(ids)}, the model has ids 0 to "
                f"{loaded.vocabulary - 1}: does the tokenizer belong to the model?"
            )
        if self._context is not None and len(ids) + sampling.max_tokens > self._context:
            raise PromptTooLongError(
                f"a prompt of {len(ids)} and an answer of {sampling.max_tokens} tokens exceed the context of "
                f"{self._context}: lower `passage_tokens`, `window` or `reasoning_tokens`"
            )
        return tuple(ids)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _seed(sampling: Sampling) -> int:
    return secrets.randbits(63) if sampling.seed is None else sampling.seed & (2**63 - 1)
