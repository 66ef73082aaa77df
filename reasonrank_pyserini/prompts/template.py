"""A tokenizer's chat template: what it writes around a conversation of one system and one user message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError, one_line
from .texts import Span, between, joined

_PROBES = ("Qx7 jv", "[1] a.\nb (Zk4)")
_SYSTEM = "Wp3 ut"


class ChatTemplate:
    """Renders messages with the tokenizer's chat template, knowing which characters the template wrote.

    A template without a system role (it raises, or leaves the system message out) gets the system text in
    front of the user's, with an empty line between.
    """

    def __init__(self, tokenizer: Any, system: str) -> None:
        """Raises InputError when there is no chat template or it cannot render a conversation."""
        if not getattr(tokenizer, "chat_template", None):
            raise InputError(
                f"the tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__} has no chat "
                "template: give the tokenizer of an instruction-tuned model (--tokenizer)"
            )
        self._tokenizer, self._system = tokenizer, system
        self.folded = not self._keeps_system()
        self._frame = self._measured_frame()

    def messages(self, user: str) -> tuple[dict[str, str], ...]:
        """The conversation as chat messages."""
        if self.folded:
            return ({"role": "user", "content": f"{self._system}\n\n{user}"},)
        return ({"role": "system", "content": self._system}, {"role": "user", "content": user})

    def frame(self, user: str) -> tuple[str, ...] | None:
        """What the template writes around this user message: `user.join(frame)` is the whole prompt.

        Two parts from nearly every template; None from one that rewrites the message.
        """
        text = self._apply(user)
        for refreshed in (False, True):
            if refreshed:  # a template may hold the date
                self._frame = self._measured_frame()
            if self._frame is not None and user.join(self._frame) == text:
                return self._frame
        return None

    def rewritten(self, user: Sequence[Span]) -> list[Span]:
        """The spans of a whole prompt whose template rewrites the message (puts it on one line, say).

        Only the first and last parts, which no query or passage has a share in, count as trusted.
        """
        text, probe = self._apply(joined(user)), _PROBES[0]
        parts = self._apply("".join(span.text if span.trusted else probe for span in user)).split(probe)
        if len(parts) < 2:
            raise InputError(
                "the tokenizer's chat template rewrites messages beyond recognition: give another (--tokenizer)"
            )
        return between(text, parts[0], parts[-1])

    def _measured_frame(self) -> tuple[str, ...] | None:
        one, other = (tuple(self._apply(probe).split(probe)) for probe in _PROBES)
        return one if one == other and len(one) > 1 else None

    def _keeps_system(self) -> bool:
        try:
            return _SYSTEM in self._rendered(
                [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _PROBES[0]}]
            )
        except InputError:  # a template says so by raising; without system it is tried next
            return False

    def _apply(self, user: str) -> str:
        return self._rendered(self.messages(user))

    def _rendered(self, messages: Sequence[dict[str, str]]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # whatever a template of somebody else's raises
            problem = one_line(error, 200)
            raise InputError(f"the tokenizer's chat template cannot be rendered: {problem}") from error
