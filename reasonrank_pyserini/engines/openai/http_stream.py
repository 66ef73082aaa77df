"""Reads a completion, streamed or whole, from chunks of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .http_error_body import MESSAGE_FIELDS, BrokenAnswerError, error_text, reported
from .http_events import Event, EventReader
from .http_finish import as_sent, meaning
from .http_logprobs import last_position

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Where servers put reasoning apart from the answer; the first that is filled counts."""


@dataclass(slots=True)
class AnswerReader:
    """Call `feed` with the body's bytes as they arrive, then `close`; both raise BrokenAnswerError.

    Reads server-sent events, and the one JSON object of servers that do not stream. `most`: characters after which
    the server evidently ignores the limit of new tokens; None for no such check.
    """

    most: int | None = None
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    last_logprobs: dict[str, float] = field(default_factory=dict)
    _chat: bool = False
    _choices: int = 0
    _length: int = 0
    _said: BrokenAnswerError | None = None
    _events: EventReader = field(default_factory=EventReader)

    def feed(self, data: bytes) -> None:
        self._read_all(self._events.feed(data))

    def close(self) -> None:
        """Read the rest at the end of the body; the answer must be complete."""
        try:
            self._read_all(self._events.rest())
        except BrokenAnswerError:
            if self.finish_reason is None:
                raise  # otherwise only data after a complete answer is damaged
        whole = self._read_all(self._events.whole())
        if self._choices == 0:
            empty = not whole and not self._events.done and self._said is None
            what = "an empty body" if empty else "an answer without choices"
            raise self._said or BrokenAnswerError(f"the server sent {what}")
        ended = (self._events.done or whole) and "".join(self.content).strip()
        if self.finish_reason is None and not ended:
            raise self._said or BrokenAnswerError("the answer ended before its finish_reason")
        self._check_end()

    def _check_end(self) -> None:
        answered = bool("".join(self.content).strip())
        if self.ended == "filtered" or (self.refusal and not answered):
            reason = f" (finish_reason {self.finish_reason!r})" if self.ended == "filtered" else ""
            words = "".join(self.refusal).strip()
            what = (
                f"the model refused: {words}" if words else "the server's content filter stopped the answer"
            )
            raise BrokenAnswerError(f"{what}{reason}", code="filtered")
        if self.ended == "early":
            raise BrokenAnswerError(
                f"the server ended the answer early: finish_reason {self.finish_reason!r}", code="early"
            )
        if self.ended == "stop" and self._chat and not answered and not self._answer_in_reasoning():
            what = "reasoning without an answer" if self.reasoning else "an empty answer"
            raise BrokenAnswerError(f"the server sent {what}", code="no_answer")

    def _answer_in_reasoning(self) -> tuple[str, str] | None:
        """Reasoning and answer where a server took both for reasoning: an answer closes it, or follows `</think>`."""
        text = "".join(self.reasoning)
        thought, closed, answer = text.rpartition("</think>")
        if closed and answer.strip():
            return thought, answer
        start = text.lower().rfind("<answer>")
        return (
            (text[:start], text[start:])
            if start >= 0 and text.rstrip().lower().endswith("</answer>")
            else None
        )

    @property
    def ended(self) -> str:
        """How the answer ended: `stop`, `length`, `filtered`, or `early` for a reason that is not known.

        A complete answer without a finish reason counts as stop; `close` checks that it is complete.
        """
        return meaning(self.finish_reason)

    def _read_all(self, events: Iterable[Event]) -> int:
        """Read the events; how many they were."""
        count = 0
        for event in events:
            count += 1
            try:
                self._read(event)
            except RecursionError:
                raise BrokenAnswerError(f"the server sent malformed JSON: {event.start}") from None
        return count

    def _read(self, event: Event) -> None:
        record = event.value
        if isinstance(record, list) and len(record) == 1:  # Gemini's errors
            (record,) = record
        if not isinstance(record, dict):
            if event.error:
                raise BrokenAnswerError(f"the server sent an error: {error_text(record)}")
            raise BrokenAnswerError(f"the server sent something that is not a completion: {event.start}")
        if inner := record.get("error"):
            raise reported(inner)
        if event.error or record.get("object") == "error" or record.get("type") == "error":
            raise reported(record)
        self._usage(record.get("usage"))
        choices = record.get("choices")
        if not isinstance(choices, list):
            if self._said is None and not record.keys().isdisjoint(MESSAGE_FIELDS):
                self._said = reported(record)
            return
        for place, choice in enumerate(choices):
            if isinstance(choice, dict) and str(_first(choice.get("index"), place)) == "0":
                self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        self._choices += 1
        if inner := choice.get("error"):
            raise reported(inner)
        self.last_logprobs = last_position(choice.get("logprobs")) or self.last_logprobs
        before, reason = self._length, as_sent(choice.get("finish_reason"))
        self._keep(self.content, choice.get("text"))
        ids = choice.get("token_ids")
        self.token_ids += [id for id in ids if isinstance(id, int)] if isinstance(ids, list) else ()
        message, delta = choice.get("message"), choice.get("delta")
        self._chat = self._chat or isinstance(delta, dict) or isinstance(message, dict)
        if isinstance(delta, dict) and delta:
            self._part(delta)
        elif isinstance(message, dict) and not self._repeats(message):
            self._part(message)
        if reason is not None or self._length > before:  # a reason that more text follows was not the last
            self.finish_reason = reason
        if self.most is not None and self._length > self.most:
            raise BrokenAnswerError("the server ignores the limit of new tokens", code="endless")

    def _part(self, part: dict[str, Any]) -> None:
        self._keep(self.reasoning, next(filter(None, map(part.get, REASONING_FIELDS)), None))
        self._keep(self.content, part.get("content"))
        self._keep(self.refusal, part.get("refusal"))

    def _repeats(self, message: dict[str, Any]) -> bool:
        """Whether a message is the sum of the pieces that came before it."""
        said = "".join(self.content)
        return bool(said) and message.get("content") == said

    def _keep(self, parts: list[str], piece: Any) -> None:
        for text, thought in _texts(piece):
            (self.reasoning if thought else parts).append(text)
            self._length += len(text)

    def _usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = _count(usage, "prompt_tokens") or self.prompt_tokens
            self.completion_tokens = _count(usage, "completion_tokens") or self.completion_tokens
            self.cached_tokens = _count(usage.get("prompt_tokens_details"), "cached_tokens")
            self.reasoning_tokens = _count(usage.get("completion_tokens_details"), "reasoning_tokens")

    @property
    def written_ids(self) -> tuple[int, ...] | None:
        """The generated token ids without the one that ended the answer; None where the server does not report them."""
        if not self.token_ids:
            return None
        return tuple(self.token_ids[:-1] if self.ended == "stop" else self.token_ids)

    @property
    def complete(self) -> bool:
        """Whether the whole answer was read; its usage and the end of the body may still follow."""
        return self._events.done or self.finish_reason is not None

    @property
    def text(self) -> str:
        """The answer with its reasoning: `<think>...</think>` before the content.

        Reasoning without content stays unclosed, since there is no answer. Content with its own `<think>` already
        includes the reasoning.
        """
        content, reasoning = "".join(self.content), "".join(self.reasoning)
        if not reasoning or "<think>" in content:
            return content
        if not content.strip() and self.ended == "stop" and (found := self._answer_in_reasoning()):
            reasoning, content = found
        reasoning = reasoning.removeprefix("<think>").removesuffix("</think>")
        if not content.strip():
            return f"<think>{reasoning}"
        closing = "" if content.lstrip().startswith("</think>") else "</think>"
        return f"<think>{reasoning}{closing}{content}"


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _texts(piece: Any) -> Iterator[tuple[str, bool]]:
    """The texts of a string or a list of parts, and whether each is a part of reasoning."""
    if isinstance(piece, str):
        yield piece, False
    elif isinstance(piece, dict):
        thought = str(piece.get("type", "")).startswith(("thinking", "reasoning"))
        inner = next(filter(None, map(piece.get, ("text", "thinking", "reasoning"))), None)
        for text, deeper in _texts(inner):
            yield text, thought or deeper
    elif isinstance(piece, list):
        for item in piece:
            yield from _texts(item)


def _count(record: Any, name: str) -> int:
    value = record.get(name) if isinstance(record, dict) else None
    return value if isinstance(value, int) and value > 0 else 0
