"""The vllm engine: vLLM's AsyncLLM in this process, token ids in, whole answers out."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import EngineDiedError, EngineError, PromptTooLongError
from ..types import Completion, Limits, Prompt, Sampling
from . import EngineConfig
from . import _vllm_args as arguments
from ._vllm_errors import death_cause, one_line, startup_error
from ._vllm_process import EngineLog, EngineProcesses

ANSWER_TAGS = frozenset({"<think>", "</think>", "<answer>", "</answer>"})
"""Never removed from an answer, even where a tokenizer calls them special."""
SURPLUS = 0.25
"""Requests kept waiting beside those that run, as a part of them: the next is there when one ends."""

STOP_SECONDS = 3.0
"""How long the engine's processes may take to end in order before they are killed; they hold nothing to save."""
OUTPUT_ARGUMENTS = (
    "hf_overrides",
    "kv_cache_dtype",
    "load_format",
    "logits_processors",
    "model_impl",
    "override_generation_config",
    "speculative_config",
)
"""Engine arguments that may change what is written, so part of the identity."""


class VLLMEngine:
    """Completes prompts with vLLM inside this process; the model runs in processes of its own.

    Bound to the event loop it was entered in. Every sampling field is sent and the model's own sampling
    defaults are ignored; a prompt that does not fit is refused, where vLLM would cut the answer short.
    The engine's processes die with this one, however it ends.
    """

    def __init__(self, config: EngineConfig) -> None:
        arguments.check(config)
        self.config = config
        self._lock = threading.Lock()
        self._vllm_config: Any = None
        self._identity: dict[str, Any] | None = None
        self._llm: Any = None
        self._running: _Running | None = None
        self._numbers = itertools.count()

    @classmethod
    def from_config(cls, config: EngineConfig) -> VLLMEngine:
        """An engine, not yet started; InputError for what it cannot honour."""
        return cls(config)

    @property
    def limits(self) -> Limits:
        """As many requests as vLLM runs together, and a quarter more to draw from; vLLM packs tokens by itself."""
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
                self._vllm_config = _resolve(self.config)
            return self._vllm_config

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise EngineError("the vllm engine is running already")
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            self._running = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_abandon)
            raise
        try:
            await self._running.llm.get_supported_tasks()  # the first word with the engine, from this loop
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
        await asyncio.sleep(0)  # vLLM closes its sockets by a callback in this loop
        running.release()

    def _start(self) -> _Running:
        return _Running.start(self.config, self._resolved())

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """The model's answer, special tokens removed but for reasoning and answer tags.

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
        )

    def _checked(self, prompt: Prompt, sampling: Sampling, running: _Running) -> list[int]:
        if not prompt.token_ids:
            raise EngineError(
                "the vllm engine takes token ids, and this prompt has none: build it with the model's tokenizer"
            )
        room = running.max_model_len
        if len(prompt.token_ids) + sampling.max_tokens > room:
            raise PromptTooLongError(
                f"a prompt of {len(prompt.token_ids)} tokens and {sampling.max_tokens} for the answer exceed the "
                f"engine's context of {room}: lower --window, --passage-tokens or --reasoning-tokens"
            )
        return list(prompt.token_ids)

    async def _generate(self, running: _Running, ids: list[int], sampling: Sampling) -> Any:
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
            raise EngineError(f"vLLM failed: {one_line(error.__cause__ or error)}") from error
        except (VLLMClientError, ValueError, TypeError) as error:
            raise EngineError(f"vLLM refused a request: {one_line(error)}") from error
        raise EngineError("vLLM ended a request without an answer")

    def _stream(self, running: _Running, ids: list[int], sampling: Sampling) -> AsyncGenerator[Any, None]:
        from vllm.inputs.engine import tokens_input

        parameters = sampling_parameters(sampling, skip_special_tokens=not running.kept_special)
        name = f"window-{next(self._numbers)}"
        stream: AsyncGenerator[Any, None] = running.llm.generate(
            tokens_input(ids), parameters, name, lora_request=running.lora
        )
        return stream


def sampling_parameters(sampling: Sampling, *, skip_special_tokens: bool = True) -> Any:
    """vLLM's SamplingParams for `sampling`, with every field that shapes the output given."""
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
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


class _Running:
    """A started AsyncLLM with its processes and log; stopped once, at the latest when the interpreter exits."""

    def __init__(self, llm: Any, processes: EngineProcesses, lora: Any) -> None:
        self.llm, self.processes, self.lora = llm, processes, lora
        self.max_model_len: int = llm.vllm_config.model_config.max_model_len
        special = {
            str(token) for token in llm.renderer.tokenizer.added_tokens_decoder.values() if token.special
        }
        self.kept_special = special & ANSWER_TAGS
        removed = sorted(special - ANSWER_TAGS, key=len, reverse=True) if self.kept_special else []
        self._removed = re.compile("|".join(map(re.escape, removed))) if removed else None
        self._stop = weakref.finalize(self, _stop, llm, processes)

    @classmethod
    def start(cls, config: EngineConfig, vllm_config: Any) -> _Running:
        from vllm.v1.engine.async_llm import AsyncLLM

        environment = (
            {"TORCHDYNAMO_DISABLE": "1"} if _on_cpu() and "TORCHDYNAMO_DISABLE" not in os.environ else {}
        )
        processes = EngineProcesses(EngineLog(shown=arguments.log_wanted(os.environ)), environment)
        try:
            with processes.adopt():
                llm = AsyncLLM.from_vllm_config(vllm_config, disable_log_stats=True)
        except BaseException as error:
            log = processes.log.text()
            processes.close()
            if not isinstance(error, Exception):
                raise
            raise startup_error(error, config.model, log) from error
        arguments.hush()  # after vLLM has set up its loggers
        return cls(llm, processes, _lora_request(config))

    def stop(self) -> None:
        """End the engine and all its processes; at most a few seconds."""
        self._stop()

    def release(self) -> None:
        """Let go of the sockets' context, whose threads would otherwise live until it is collected."""
        resources = self.llm.engine_core.resources
        if resources.input_socket.closed and resources.output_socket.closed:
            resources.ctx.term()

    def died(self) -> str:
        """Why the engine is gone; ends what may be left of it."""
        cause = death_cause(self.processes.log.text())
        self.processes.kill()
        return cause

    def readable(self, text: str) -> str:
        """`text` without special tokens, where vLLM had to leave them in for the tags' sake."""
        return self._removed.sub("", text) if self._removed is not None else text


def _stop(llm: Any, processes: EngineProcesses) -> None:
    try:
        llm.shutdown(timeout=STOP_SECONDS)
        llm.shutdown = _done  # its __del__ calls it again, perhaps when the interpreter is half gone
    finally:
        processes.close()


def _done(timeout: float | None = None) -> None:
    """In the place of a shutdown that has been done."""


def _abandon(starting: asyncio.Future[_Running]) -> None:
    """Stop an engine that nobody waited for."""
    if not starting.cancelled() and starting.exception() is None:
        threading.Thread(target=starting.result().stop, name="reasonrank-vllm-stop").start()


def _on_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _resolve(config: EngineConfig) -> Any:
    arguments.import_vllm()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    settings = arguments.model_settings(config)
    arguments.check_context(config)
    try:
        args = AsyncEngineArgs(**arguments.engine_arguments(config, settings, cpu=_on_cpu()))
        return args.create_engine_config(UsageContext.LLM_CLASS)
    except Exception as error:
        raise startup_error(error, config.model, "", arguments.normalised(config.args)) from error


def _lora_request(config: EngineConfig) -> Any:
    adapter = arguments.normalised(config.args).get("lora")
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(Path(str(adapter)).resolve()))


def _identity(config: EngineConfig, model_config: Any) -> dict[str, Any]:
    from ..models import folder_hash, model_identity, tokenizer_hash

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
