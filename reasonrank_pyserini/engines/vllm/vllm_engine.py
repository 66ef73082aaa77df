"""The vllm engine: vLLM's AsyncLLM in this process, from token ids to whole answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self

from ...errors import EngineDiedError, EngineError, PromptTooLongError
from ...types import Completion, Limits, Prompt, Sampling
from .. import EngineConfig
from ..fault_handlers import kept_fault_handlers
from ..priority import ENGINE_PRIORITY
from . import vllm_args as arguments
from .vllm_errors import startup_error, vllm_message
from .vllm_grammar import install, request_arguments
from .vllm_process import EngineProcesses
from .vllm_shutdown import Running, new_processes, on_cpu

SURPLUS = 0.25
"""Requests kept waiting, as a share of those running, so that the next is ready when one ends."""
OUTPUT_ARGUMENTS = (
    "hf_overrides",
    "kv_cache_dtype",
    "load_format",
    "logits_processors",
    "model_impl",
    "override_generation_config",
    "speculative_config",
)
"""Engine arguments that may change the output, and so are part of the identity."""


class VLLMEngine:
    """Completes prompts with vLLM inside this process; the model runs in processes of its own.

    Bound to the event loop in which it was entered. Every sampling field is sent, so the model's sampling defaults
    do not apply; a prompt that does not fit raises an error, where vLLM would cut the answer short. The engine's
    processes end with this one, however it ends. vLLM's queue follows the priorities of ThrottledEngine.
    """

    OPERATIONAL = frozenset({"scheduling_policy"})
    """Arguments that change the order of work, not the output."""

    def __init__(self, config: EngineConfig) -> None:
        arguments.check(config)
        self.config = config
        self._lock = threading.Lock()
        self._vllm_config: Any = None
        self._identity: dict[str, Any] | None = None
        self._running: Running | None = None
        self._numbers = itertools.count()

    @classmethod
    def from_config(cls, config: EngineConfig) -> VLLMEngine:
        """An engine, not yet started; InputError for settings that it cannot apply."""
        return cls(config)

    @property
    def limits(self) -> Limits:
        """As many requests as vLLM runs together and a quarter more; vLLM itself limits the tokens."""
        resolved = self._resolved()
        together = resolved.scheduler_config.max_num_seqs * resolved.parallel_config.data_parallel_size
        return Limits(requests=together + max(4, int(together * SURPLUS)))

    @property
    def identity(self) -> Mapping[str, Any]:
        """Engine, model with its revision or weights' hash, tokenizer, dtype, quantization, adapter."""
        resolved = self._resolved()
        with self._lock:
            if self._identity is None:
                self._identity = _identity(self.config, resolved.model_config)
            return self._identity

    def _resolved(self) -> Any:
        """vLLM's configuration of this engine, made once (imports vLLM: seconds); starts nothing."""
        with self._lock:
            if self._vllm_config is None:
                with kept_fault_handlers():
                    self._vllm_config = _resolve(self.config)
            return self._vllm_config

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise EngineError("the vllm engine is running already")
        processes = new_processes()
        starting = asyncio.ensure_future(asyncio.to_thread(self._start, processes))
        try:
            self._running = await asyncio.shield(starting)
        except asyncio.CancelledError:
            processes.kill()  # the start fails at once or, if it has succeeded, is undone
            starting.add_done_callback(_abandon)
            raise
        try:
            await self._running.llm.get_supported_tasks()  # the first call to the engine, from this loop
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        stopping = asyncio.ensure_future(asyncio.to_thread(running.stop))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            running.processes.kill()
            await stopping
            raise
        await asyncio.sleep(0)  # lets vLLM close its sockets by a callback in this loop
        running.release()

    def _start(self, processes: EngineProcesses) -> Running:
        resolved = self._resolved()
        with kept_fault_handlers():
            return Running.start(self.config, resolved, processes)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """The model's answer without special tokens except reasoning and answer tags; a permutation if requested.

        PromptTooLongError when prompt and answer exceed the context; EngineDiedError once vLLM is gone.
        """
        running = self._running
        if running is None:
            raise EngineError("the vllm engine is not running: use it inside `async with`")
        ids = self._checked(prompt, sampling, running)
        started = time.perf_counter()
        output = await self._generate(running, ids, sampling)
        answer = output.outputs[0]
        if answer.finish_reason not in ("stop", "length"):
            raise EngineError(f"vLLM ended a request early (finish reason {answer.finish_reason!r})")
        return Completion(
            text=running.readable(answer.text),
            prompt_tokens=len(ids),
            completion_tokens=len(answer.token_ids),
            finish_reason=answer.finish_reason,
            seconds=time.perf_counter() - started,
            token_ids=tuple(answer.token_ids[:-1] if answer.finish_reason == "stop" else answer.token_ids),
        )

    def _checked(self, prompt: Prompt, sampling: Sampling, running: Running) -> list[int]:
        if not prompt.token_ids:
            raise EngineError(
                "the vllm engine takes token ids, and this prompt has none: build it with the model's tokenizer"
            )
        room = running.max_model_len
        if len(prompt.token_ids) + sampling.max_tokens > room:
            raise PromptTooLongError(
                f"a prompt of {len(prompt.token_ids)} tokens and {sampling.max_tokens} for the answer exceed the "
                f"engine's context of {room}: lower `window`, `passage_tokens` or `reasoning_tokens`"
            )
        return list(prompt.token_ids)

    async def _generate(self, running: Running, ids: list[int], sampling: Sampling) -> Any:
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        try:
            async with contextlib.aclosing(self._stream(running, ids, sampling)) as stream:
                async for output in stream:
                    if output.finished:
                        return output
        except EngineDeadError as error:
            raise EngineDiedError(f"vLLM died: {running.died()}") from error
        except EngineGenerateError as error:
            raise EngineError(f"vLLM failed: {vllm_message(error.__cause__ or error)}") from error
        except (VLLMClientError, ValueError, TypeError) as error:
            raise EngineError(f"vLLM refused a request: {vllm_message(error)}") from error
        raise EngineError("vLLM ended a request without an answer")

    def _stream(self, running: Running, ids: list[int], sampling: Sampling) -> AsyncGenerator[Any, None]:
        from vllm.inputs.engine import tokens_input

        parameters = sampling_parameters(sampling, skip_special_tokens=not running.kept_special)
        name = f"window-{next(self._numbers)}"
        stream: AsyncGenerator[Any, None] = running.llm.generate(
            tokens_input(ids), parameters, name, lora_request=running.lora, priority=ENGINE_PRIORITY.get()
        )
        return stream


def sampling_parameters(sampling: Sampling, *, skip_special_tokens: bool = True) -> Any:
    """vLLM's SamplingParams for `sampling`, with every field that affects the output set."""
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    return SamplingParams(
        n=1,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=sampling.seed,
        max_tokens=sampling.max_tokens,
        min_tokens=0,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        repetition_penalty=1.0,
        stop=None,
        stop_token_ids=None,
        bad_words=None,
        ignore_eos=False,
        skip_special_tokens=skip_special_tokens,
        spaces_between_special_tokens=False,
        extra_args=request_arguments(sampling.permutation),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _abandon(starting: asyncio.Future[Running]) -> None:
    """Stop an engine whose start was cancelled."""
    if not starting.cancelled() and starting.exception() is None:
        threading.Thread(target=starting.result().stop, name="reasonrank-vllm-stop").start()


def _resolve(config: EngineConfig) -> Any:
    arguments.import_vllm()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    settings = arguments.model_settings(config)
    arguments.check_context(config)
    try:
        args = AsyncEngineArgs(**arguments.engine_arguments(config, settings, cpu=on_cpu()))
        resolved = args.create_engine_config(UsageContext.LLM_CLASS)
        install(resolved)
    except Exception as error:
        raise startup_error(error, config.model, "", arguments.normalised(config.args)) from error
    return resolved


def _identity(config: EngineConfig, model_config: Any) -> dict[str, Any]:
    from ...models.identity import folder_hash, model_identity, tokenizer_hash

    given = arguments.normalised(config.args)
    adapter = given.get("lora")
    tokenizer = (config.tokenizer, None) if config.tokenizer else (config.model, config.revision)
    return {
        "engine": "vllm",
        **model_identity(config.model, config.revision),
        "tokenizer": tokenizer_hash(*tokenizer),
        "dtype": str(model_config.dtype).removeprefix("torch."),
        "quantization": model_config.quantization,
        "lora": None if adapter is None else folder_hash(str(adapter)),
        "args": {name: given[name] for name in OUTPUT_ARGUMENTS if name in given},
    }
