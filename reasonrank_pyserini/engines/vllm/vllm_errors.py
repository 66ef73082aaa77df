"""Why a vLLM server ended, in one line, by what it wrote."""

from __future__ import annotations

import re

from ...errors import EngineError, InputError, ReasonRankError, one_line

_RAISED = re.compile(
    r"(?:^|\] |\s)((?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)): (\S.*)$"
)
_GENERIC = re.compile(
    r"see (?:the )?(?:stack ?trace|root cause|error|log)|(?:stack ?trace|root cause) above"
    r"|initialization failed|engine core|cancelled",
    re.IGNORECASE,
)
_USAGE = re.compile(r"^[\w.-]+(?: \w+)?: error: (\S.*)$")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PREFIX = re.compile(r"^\([\w ]+ pid=\d+\) ")
_PYDANTIC_TAIL = re.compile(r"\s*\[type=.*$")
_CONFIGURATION = (
    "ValueError",
    "ValidationError",
    "OSError",
    "TypeError",
    "AssertionError",
    "NotImplementedError",
)
_REFUSALS = ("VLLMValidationError", "RequestValidationError", "HTTPException")
_LONGEST = 400


def log_cause(log: str) -> str:
    """The last specific failure in a log, as `Type: message`, or the complaint about the command line; else empty.
    Refused requests do not count."""
    cause = generic = ""
    lines = [_PREFIX.sub("", _ANSI.sub("", line).rstrip()) for line in log.splitlines()]
    for number, line in enumerate(lines):
        if usage := _USAGE.match(line):
            return f"ValueError: {usage[1]}"
        if (found := _RAISED.search(line)) is None or found[1].endswith(_REFUSALS):
            continue
        message = found[2]
        if "validation error" in message and number + 2 < len(
            lines
        ):  # pydantic puts the reason below the field
            message = _reason(lines[number + 1 : number + 4])
        text = f"{found[1].rpartition('.')[2]}: {message}"
        if _GENERIC.search(text):
            generic = generic or text
        else:
            cause = text
    return one_line(cause or generic, _LONGEST) if cause or generic else ""


def _reason(lines: list[str]) -> str:
    """pydantic's reason without its wrapping."""
    stripped = (_PYDANTIC_TAIL.sub("", line.strip()) for line in lines)
    kept = [line for line in stripped if line and not line.startswith("For further information")]
    return " ".join(line.removeprefix("Value error, ").removeprefix("Assertion failed, ") for line in kept)


def startup_error(log: str, model: str) -> ReasonRankError:
    """The exception for a server that ended before it was ready: InputError for a setting that vLLM refuses."""
    cause = death_cause(log)
    kind, _, message = cause.partition(": ")
    if kind in _CONFIGURATION and not _from_engine(log):
        return InputError(f"vLLM cannot run {model!r}: {message}{_advice(cause)}")
    return EngineError(f"vLLM could not start {model!r}: {cause}{_advice(cause)}")


def _from_engine(log: str) -> bool:
    """Whether the engine's process failed, not the reading of its configuration."""
    return "EngineCore failed to start" in log or "Engine core initialization failed" in log


def death_cause(log: str) -> str:
    """Why a server ended, by its log."""
    return log_cause(log) or "it ended without a message (the system may have killed it for lack of memory)"


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
