"""A tokenizer's chat template, applied to one system and one user message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InputError, one_line
from .texts import Span, between, joined

_PROBES = ("Qx7 jv", "[1] a.\nb (Zk4)")
_SYSTEM = "Wp3 ut"


class ChatTemplate:
    """Renders messages with the tokenizer's chat template and tracks which characters come from the template.

    For a template without a system role (it raises, or drops the system message) the system text is put before
    the user's, with an empty line between.
    """

    def __init__(self, tokenizer: Any, system: str) -> None:
        """Raises InputError when there is no chat template or it cannot render a conversation."""
        if not getattr(tokenizer, "chat_template", None):
            raise InputError(
                f"the tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__} has no chat "
                "template: give the tokenizer of an instruction-tuned model (`tokenizer`)"
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
        """The template's text around this user message: `user.join(frame)` is the whole prompt.

        Two parts for nearly every template; None for one that rewrites the message.
        """
        text = self._apply(user)
        for refreshed in (False, True):
            if refreshed:  # a template may contain the date
                self._frame = self._measured_frame()
            if self._frame is not None and user.join(self._frame) == text:
                return self._frame
        return None

    def rewritten(self, user: Sequence[Span]) -> list[Span]:
        """The spans of a whole prompt whose template rewrites the message, for example onto one line.

        Only the first and the last part, which contain nothing of query and passages, are trusted.
        """
        text, probe = self._apply(joined(user)), _PROBES[0]
        parts = self._apply("".join(span.text if span.trusted else probe for span in user)).split(probe)
        if len(parts) < 2:
            raise InputError(
                "the tokenizer's chat template rewrites the user message: give another (`tokenizer`)"
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
        except InputError:  # such a template raises; it is tried without a system message next
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
        except Exception as error:  # a template can raise anything
            problem = one_line(error, 200)
            raise InputError(
                f"the tokenizer's chat template cannot be rendered (give another `tokenizer`): {problem}"
            ) from error


def turn_frame(
    render: Callable[[Sequence[Mapping[str, str]]], str], roles: Sequence[str], advice: str
) -> tuple[str, ...]:
    """A chat template's text before, between and after turns of those roles; InputError where it leaves one out."""
    probes = [f"Qx{number}jv7" for number in range(len(roles))]
    rest = render([{"role": role, "content": probe} for role, probe in zip(roles, probes, strict=True)])
    parts = []
    for probe in probes:
        part, found, rest = rest.partition(probe)
        if not found:
            raise InputError(f"the chat template leaves out a turn: {advice}")
        parts.append(part)
    return (*parts, rest)
