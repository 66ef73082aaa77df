"""vLLM's failures as one line; the cause is often in the log of another process."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import EngineError, InputError, ReasonRankError, one_line

_RAISED = re.compile(
    r"(?:^|\] |\s)((?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)): (\S.*)$"
)
_GENERIC = re.compile(
    r"see (?:the )?(?:stack ?trace|root cause|error|log)|(?:stack ?trace|root cause) above"
    r"|initialization failed|engine core",
    re.IGNORECASE,
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PYDANTIC_TAIL = re.compile(r"\s*\[type=.*$")


def log_cause(log: str) -> str:
    """The last specific exception in a log, as `Type: message`; empty when there is none."""
    cause = generic = ""
    for line in log.splitlines():
        found = _RAISED.search(_ANSI.sub("", line).rstrip())
        if not found:
            continue
        text = f"{found[1].rpartition('.')[2]}: {found[2]}"
        if _GENERIC.search(text):
            generic = generic or text
        else:
            cause = text
    return cause or generic


def vllm_message(error: BaseException) -> str:
    """The exception's message as one line, without pydantic's wrapping; its type when it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and "validation error" in lines[0]:
        lines = [
            _PYDANTIC_TAIL.sub("", line)
            for line in lines[1:]
            if not line.startswith("For further information")
        ]
        lines = [line.removeprefix("Value error, ").removeprefix("Assertion failed, ") for line in lines]
    return one_line(" ".join(lines) or error, 400)


def startup_error(
    error: BaseException, model: str, log: str | None, args: Mapping[str, object] | None = None
) -> ReasonRankError:
    """The exception to raise for an `error` at the start of the engine with the user's `args`."""
    if isinstance(error, ReasonRankError):
        return error
    in_child = isinstance(error, (RuntimeError, EOFError, ConnectionError)) and _GENERIC.search(str(error))
    if in_child:
        cause = death_cause(log)
        return EngineError(f"vLLM could not start {model!r}: {cause}{_advice(cause)}")
    cause = vllm_message(error)
    if isinstance(error, (ValueError, OSError, TypeError, AssertionError, NotImplementedError)):
        given = ", ".join(f"{name}={value!r}" for name, value in (args or {}).items())
        with_given = f" with {given}" if given else ""
        return InputError(f"vLLM cannot run {model!r}{with_given}: {cause}{_advice(cause)}")
    return EngineError(f"vLLM could not start {model!r}: {type(error).__name__}: {cause}{_advice(cause)}")


def death_cause(log: str | None) -> str:
    """Why the engine's process ended, by its log; None for a log that the user has seen."""
    if log is None:
        return "see its log above"
    return (
        log_cause(log)
        or "the engine process ended without a message (the system may have killed it for lack of memory)"
    )


def _advice(cause: str) -> str:
    lowered = cause.lower()
    if "derived max_model_len" in lowered or "max_position_embeddings" in lowered:
        return " (lower `window`, `passage_tokens` or `reasoning_tokens`)"
    if "kv cache" in lowered or "cache blocks" in lowered:
        return " (give `engine_args` kv_cache_memory_bytes=BYTES, or less context by smaller windows)"
    if "out of memory" in lowered or "free memory on device" in lowered:
        return " (try `engine_args` gpu_memory_utilization=0.8, a smaller model, or tensor_parallel_size)"
    if "numa nodes" in lowered:
        return " (or set VLLM_CPU_OMP_THREADS_BIND=nobind)"
    return ""
