"""A running vLLM engine: its start, its end, and cleaning up after its death."""

from __future__ import annotations

import os
import re
import traceback
import weakref
from pathlib import Path
from typing import Any

from .. import EngineConfig
from . import vllm_args as arguments
from .vllm_errors import death_cause, startup_error
from .vllm_process import EngineLog, EngineProcesses

ANSWER_TAGS = frozenset({"<think>", "</think>", "<answer>", "</answer>"})
"""Never removed from an answer, even if the tokenizer marks them as special."""
STOP_SECONDS = 3.0
"""How long the engine's processes may take to end before they are killed; they have nothing to save."""


class Running:
    """A started AsyncLLM with its processes and log; stopped at the latest when the interpreter exits."""

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
    def start(cls, config: EngineConfig, vllm_config: Any, processes: EngineProcesses) -> Running:
        from vllm.v1.engine.async_llm import AsyncLLM

        if on_cpu() and "TORCHDYNAMO_DISABLE" not in os.environ:
            processes.environment["TORCHDYNAMO_DISABLE"] = "1"
        try:
            with processes.adopt():
                llm = AsyncLLM.from_vllm_config(vllm_config, disable_log_stats=True)
        except BaseException as error:
            log = processes.log.text()
            processes.close()
            for frame, _ in traceback.walk_tb(error.__traceback__):
                _release(getattr(frame.f_locals.get("self"), "resources", None))
            if not isinstance(error, Exception):
                raise
            raise startup_error(error, config.model, log) from error
        arguments.hush()  # after vLLM has set up its loggers
        return cls(llm, processes, _lora_request(config))

    def stop(self) -> None:
        """End the engine and all its processes within a few seconds."""
        self._stop()

    def release(self) -> None:
        """End the sockets' context, whose threads would otherwise run until it is garbage-collected."""
        _release(self.llm.engine_core.resources)

    def died(self) -> str:
        """Why the engine died; kills what may be left of it."""
        cause = death_cause(self.processes.log.text())
        self.processes.kill()
        return cause

    def readable(self, text: str) -> str:
        """`text` without special tokens, when vLLM had to keep them because of the answer tags."""
        return self._removed.sub("", text) if self._removed is not None else text


def new_processes() -> EngineProcesses:
    """An empty set of processes: quiet, unless the user configured vLLM's log."""
    return EngineProcesses(EngineLog(shown=arguments.log_wanted(os.environ)))


def _stop(llm: Any, processes: EngineProcesses) -> None:
    try:
        llm.shutdown(timeout=STOP_SECONDS)
        llm.shutdown = _done  # its __del__ calls it again, possibly while the interpreter shuts down
    finally:
        processes.close()


def _release(resources: Any) -> None:
    """End the sockets' context of vLLM's client if `resources` belong to a client with closed sockets."""
    sockets = [getattr(resources, name, None) for name in ("input_socket", "output_socket")]
    if hasattr(resources, "ctx") and all(socket is None or socket.closed for socket in sockets):
        resources.ctx.term()


def _done(timeout: float | None = None) -> None:
    """Replaces `shutdown` once it has been done."""


def on_cpu() -> bool:
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _lora_request(config: EngineConfig) -> Any:
    adapter = arguments.normalised(config.args).get("lora")
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(Path(str(adapter)).resolve()))
