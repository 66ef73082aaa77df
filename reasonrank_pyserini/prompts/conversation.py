"""Chat turns rendered with a tokenizer's chat template, the template's characters kept apart from the turns'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import InputError, one_line
from .template import turn_frame
from .texts import Span, between, joined


class Message(NamedTuple):
    """One turn of a chat, as spans."""

    role: str
    spans: Sequence[Span]

    def plain(self) -> dict[str, str]:
        return {"role": self.role, "content": joined(self.spans)}


class Conversation:
    """Renders chats of any number of turns; `arguments` go to the chat template.

    For a template without a system role the system text is put before the first user's, with an empty line between.
    """

    def __init__(self, tokenizer: Any, arguments: Mapping[str, Any]) -> None:
        """Raises InputError when there is no chat template or it cannot render a conversation."""
        if not getattr(tokenizer, "chat_template", None):
            raise InputError(
                f"the tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__} has no chat "
                "template: give the tokenizer of an instruction-tuned model (`tokenizer`)"
            )
        self._tokenizer, self._arguments = tokenizer, dict(arguments)
        self._frames: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.folded = not self._keeps_system()

    def messages(self, turns: Sequence[Message]) -> list[Message]:
        """The turns, without a system turn where the template has none."""
        if not (self.folded and turns and turns[0].role == "system"):
            return list(turns)
        system, user, *rest = turns
        return [Message(user.role, (*system.spans, Span("\n\n", True), *user.spans)), *rest]

    def spans(self, turns: Sequence[Message]) -> list[Span]:
        """The whole prompt; what the template adds is trusted, and all else where the template rewrites a turn."""
        turns = self.messages(turns)
        text = self._rendered([turn.plain() for turn in turns])
        for refreshed in (False, True):  # a template may contain the date
            frame = self._frame(tuple(turn.role for turn in turns), refreshed)
            for strip in (False, True):
                spans = _framed(frame, [_stripped(turn.spans) if strip else turn.spans for turn in turns])
                if joined(spans) == text:
                    return spans
        return between(text, frame[0], frame[-1])

    def _frame(self, roles: tuple[str, ...], refreshed: bool) -> tuple[str, ...]:
        if refreshed or roles not in self._frames:
            self._frames[roles] = turn_frame(self._rendered, roles, "give another (`tokenizer`)")
        return self._frames[roles]

    def _keeps_system(self) -> bool:
        try:
            return "Wp3 ut" in self._rendered(
                [{"role": "system", "content": "Wp3 ut"}, {"role": "user", "content": "Qx7 jv"}]
            )
        except InputError:  # such a template raises; it is tried without a system message next
            return False

    def _rendered(self, messages: Sequence[Mapping[str, str]]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **self._arguments
                )
            )
        except Exception as error:  # a template can raise anything
            raise InputError(
                "the tokenizer's chat template cannot be rendered (give another `tokenizer`): "
                f"{one_line(error, 200)}"
            ) from error


def _framed(frame: Sequence[str], turns: Sequence[Sequence[Span]]) -> list[Span]:
    spans = [Span(frame[0], True)]
    for turn, after in zip(turns, frame[1:], strict=True):
        spans += [*turn, Span(after, True)]
    return spans


def _stripped(spans: Sequence[Span]) -> list[Span]:
    """The spans without white space at both ends of their text."""
    kept = list(spans)
    while kept and not kept[0].text.strip():
        kept.pop(0)
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        kept[0] = Span(kept[0].text.lstrip(), kept[0].trusted)
        kept[-1] = Span(kept[-1].text.rstrip(), kept[-1].trusted)
    return kept
