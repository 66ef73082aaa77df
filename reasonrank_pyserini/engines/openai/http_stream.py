"""Reads the body of a completion, streamed or whole, from chunks of bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

MAX_LINE = 32 * 1024 * 1024
COMPLETE = {
    "stop", "eos", "eos_token", "stop_sequence", "stop_token", "end_turn", "complete", "completed", "finished",
    "eosfound", "stopstringfound",
}  # fmt: skip
"""Finish reasons, in lower case, of a model that ended its answer itself: OpenAI, vLLM, SGLang, llama.cpp, TGI,
Together, Anthropic, Cohere, LM Studio."""
LENGTH = {
    "length", "max_tokens", "max_output_tokens", "max_length", "model_length", "limit",
    "model_context_window_exceeded", "maxpredictedtokensreached", "contextlengthreached",
}  # fmt: skip
"""Finish reasons of an answer that was cut where its budget or the context ended."""


class BrokenAnswerError(Exception):
    """The body is not a complete answer; `status` is the HTTP status of an error inside it."""

    def __init__(self, message: str, status: int | None = None, *, code: str = "") -> None:
        self.status, self.code = status, code
        super().__init__(message)


@dataclass(slots=True)
class AnswerReader:
    """Call `feed` with the body's bytes as they arrive, then `close`; both raise BrokenAnswerError.

    Reads server-sent events, and the one JSON object of servers that do not stream.
    """

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    _done: bool = False
    _chat: bool = False
    _event: bytes = b""
    _choices: int = 0
    _rest: bytearray = field(default_factory=bytearray)
    _whole: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self._rest += data
        if b"\n" not in data and b"\r" not in data:
            if len(self._rest) > MAX_LINE:
                raise BrokenAnswerError("the server sent a line without end")
            return
        *lines, rest = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest
        for line in lines:
            self._line(line)

    def close(self) -> None:
        """Read the rest at the end of the body; the answer must be complete."""
        try:
            self._line(bytes(self._rest))
        except BrokenAnswerError:
            if self.finish_reason is None:
                raise  # otherwise only data after a complete answer is damaged
        if self._whole.strip():
            self._record(bytes(self._whole))
        if self._choices == 0:
            raise BrokenAnswerError("the server sent an answer without choices")
        if self.finish_reason is None and not (self._done and "".join(self.content).strip()):
            raise BrokenAnswerError("the answer ended before its finish_reason")
        if self.ended not in ("stop", "length"):
            raise BrokenAnswerError(f"the server broke the answer off: finish_reason {self.finish_reason!r}")
        if self.ended == "stop" and self._chat and not self._answered():
            what = "reasoning without an answer" if self.reasoning else "an empty answer"
            raise BrokenAnswerError(f"the server sent {what}", code="no_answer")

    def _answered(self) -> bool:
        """Whether anything came that may hold the answer; some servers leave it in the reasoning."""
        return bool("".join(self.content).strip()) or "<answer>" in "".join(self.reasoning).lower()

    @property
    def ended(self) -> str:
        """How the answer ended: stop, length, or the server's own finish reason, which means neither.

        A whole answer whose finish reason was never sent counts as stop; `close` tells whether it is whole.
        """
        reason = (self.finish_reason or "stop").lower()
        return "stop" if reason in COMPLETE else "length" if reason in LENGTH else reason

    def _line(self, line: bytes | bytearray) -> None:
        name, colon, value = bytes(line).partition(b":")
        if not line.strip():
            self._event = b""
        if self._done or not line.strip() or line.startswith(b":"):
            return
        if colon and name == b"data":
            value = value.strip()
            if value == b"[DONE]":
                self._done = True
            elif value:
                self._record(value, error=self._event == b"error")
        elif colon and name == b"event":
            self._event = value.strip()
        elif not (colon and name in (b"id", b"retry")):
            self._whole += bytes(line) + b"\n"
            if len(self._whole) > MAX_LINE:
                raise BrokenAnswerError("the server sent something that is not a completion")

    def _record(self, data: bytes, *, error: bool = False) -> None:
        try:
            record = json.loads(data)
        except (ValueError, RecursionError):
            if error:
                raise BrokenAnswerError(f"the server sent an error: {_start(data, 300)}") from None
            raise BrokenAnswerError(f"the server sent malformed JSON: {_start(data)}") from None
        if not isinstance(record, dict):
            raise BrokenAnswerError(f"the server sent something that is not a completion: {_start(data)}")
        if inner := record.get("error"):
            raise BrokenAnswerError(error_text(inner), error_status(inner), code=error_code(inner))
        if error or record.get("object") == "error":
            raise BrokenAnswerError(error_text(record), error_status(record), code=error_code(record))
        self._usage(record.get("usage"))
        choices = record.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
                self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        self._choices += 1
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            self.finish_reason = reason
        _keep(self.content, choice.get("text"))
        for part in (choice.get("delta"), choice.get("message")):
            if isinstance(part, dict):
                self._chat = True
                _keep(self.reasoning, part.get("reasoning_content") or part.get("reasoning"))
                _keep(self.content, part.get("content") or part.get("refusal"))

    def _usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage, "prompt_tokens")
            self.completion_tokens = _count(usage, "completion_tokens")
            self.cached_tokens = _count(usage.get("prompt_tokens_details"), "cached_tokens")
            self.reasoning_tokens = _count(usage.get("completion_tokens_details"), "reasoning_tokens")

    @property
    def complete(self) -> bool:
        """Whether the whole answer was read; its usage and the end of the body may still follow."""
        return self._done or self.finish_reason is not None

    @property
    def text(self) -> str:
        """The answer with its reasoning: `<think>...</think>` before the content.

        Reasoning without content stays unclosed, since there is no answer. Content with its own `<think>` already
        includes the reasoning.
        """
        content, reasoning = "".join(self.content), "".join(self.reasoning)
        if not reasoning or "<think>" in content:
            return content
        reasoning = reasoning.removeprefix("<think>").removesuffix("</think>")
        if not content.strip():
            return f"<think>{reasoning}"
        closing = "" if content.lstrip().startswith("</think>") else "</think>"
        return f"<think>{reasoning}{closing}{content}"


def error_text(error: Any) -> str:
    """The message of an API error in any of its usual forms."""
    if isinstance(error, dict):
        if isinstance(error.get("loc"), list) and error.get("msg"):
            return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
        for name in ("message", "detail", "error", "msg", "type", "code"):
            if found := error.get(name):
                return error_text(found)
        return json.dumps(error)
    if isinstance(error, list):
        return "; ".join(error_text(item) for item in error[:3])
    return str(error)


def error_status(error: Any) -> int | None:
    """The HTTP status in an error object's `code` or `status`; None when there is none."""
    for name in ("code", "status", "status_code"):
        value = error.get(name) if isinstance(error, dict) else None
        number = int(value) if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value) else value
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    return None


def error_code(error: Any) -> str:
    """The symbolic code of an error object (`insufficient_quota`), empty if none."""
    if not isinstance(error, dict):
        return ""
    return " ".join(value for name in ("code", "type") if isinstance(value := error.get(name), str))


def _keep(parts: list[str], piece: Any) -> None:
    if isinstance(piece, str):
        parts.append(piece)
    elif isinstance(piece, list):
        texts = [item.get("text") for item in piece if isinstance(item, dict)]
        parts.extend(text for text in texts if isinstance(text, str))


def _count(record: Any, name: str) -> int:
    value = record.get(name) if isinstance(record, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _start(data: bytes, length: int = 80) -> str:
    return data[:length].decode("utf-8", "replace")
