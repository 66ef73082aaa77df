"""Whole prompts of chat turns, from a query and passages that are already cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from .codec import Codec
from .conversation import Conversation, Message
from .message_style import MessageStyle, filled_spans
from .pieces import Draft
from .texts import Span, between, estimated_tokens, fixed, fixed_spans, joined


class MessageAssembly:
    """Prompts of one style; without a tokenizer messages alone, as for a server with an unknown one.

    `last_turn_tokens`: the last turn loses its end beyond that many tokens, as in one authors' program.
    """

    def __init__(
        self, style: MessageStyle, tokenizer: Any, codec: Codec | None, last_turn_tokens: int | None = None
    ) -> None:
        self._style, self._codec, self._last_turn_tokens = style, codec, last_turn_tokens
        self._conversation = (
            Conversation(tokenizer, style.template) if style.chat and codec is not None else None
        )

    def draft(self, query: str, passages: Sequence[str], scores: Sequence[float] = ()) -> Draft:
        """The prompt; `scores` are shown where the style shows scores, one for each passage."""
        turns = self._turns(query, passages, scores)
        if self._codec is None:
            return self._messages_alone(turns)
        messages: tuple[Mapping[str, str], ...] = ()
        if self._conversation is None:
            spans = list(turns[-1].spans)
        else:
            spans = self._conversation.spans(turns)
            messages = tuple(turn.plain() for turn in self._conversation.messages(turns))
        if self._style.fixed:
            spans, _ = fixed_spans(spans)
        encoded = self._codec.encode(spans)
        ids = self._codec.surrounded(encoded.ids)
        return Draft(joined(spans), ids, messages, len(ids), encoded.neutralised)

    def _messages_alone(self, turns: Sequence[Message]) -> Draft:
        plain = [turn.plain() for turn in turns]
        if self._style.fixed:
            plain = [{**message, "content": fixed(message["content"])} for message in plain]
        tokens = sum(estimated_tokens(message["content"]) for message in plain)
        text = "" if self._style.chat else plain[-1]["content"]
        return Draft(text, None, tuple(plain) if self._style.chat else (), tokens, 0)

    def _turns(self, query: str, passages: Sequence[str], scores: Sequence[float]) -> list[Message]:
        style = self._style
        values: dict[str, Sequence[Span]] = {
            name: [Span(value, True)] for name, value in style.values.items()
        }
        shown = [self._passage_values(values, number, passages, scores) for number in range(len(passages))]
        values["query"] = filled_spans(style.query, {**values, "query": [Span(query, False)]})
        values["num"] = [Span(str(len(passages)), True)]
        one = shown[0] if len(shown) == 1 else {}
        values |= {**one, "passages": self._listed(shown)}
        turns = []
        for each, group in groupby(style.turns, lambda turn: turn.each):
            repeated = list(group)
            for found in [{**values, **some} for some in shown] if each else [values]:
                turns += [Message(turn.role, filled_spans(turn.text, found)) for turn in repeated]
        return self._cut(turns)

    def _passage_values(
        self,
        values: Mapping[str, Sequence[Span]],
        number: int,
        passages: Sequence[str],
        scores: Sequence[float],
    ) -> dict[str, Sequence[Span]]:
        found: dict[str, Sequence[Span]] = {
            "i": [Span(str(number + 1), True)],
            "text": [Span(passages[number], False)],
        }
        if scores:
            found["score"] = [Span(f"{scores[number]:.3f}", True)]
        return {**values, **found}

    def _listed(self, shown: Sequence[Mapping[str, Sequence[Span]]]) -> list[Span]:
        spans: list[Span] = []
        for number, values in enumerate(shown):
            spans += [Span(self._style.separator, True)] if number else []
            spans += filled_spans(self._style.passage, values)
        return spans

    def _cut(self, turns: list[Message]) -> list[Message]:
        if self._last_turn_tokens is None or self._codec is None:
            return turns
        whole = joined(turns[-1].spans)
        text = self._codec.beginning(whole, self._last_turn_tokens, lambda text: text).text
        if text == whole:
            return turns
        first = turns[-1].spans[0]
        head = first.text if first.trusted else ""
        return [*turns[:-1], Message(turns[-1].role, between(text, head, ""))]
