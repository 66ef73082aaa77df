"""What is done to a query or a passage before it is put into a prompt of chat turns."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..types import Document
from .codec import Codec
from .message_style import MessageStyle, filled_spans
from .texts import Span, cut_to_words, estimated_tokens, fixed, joined, replace_lone_surrogates, unbracketed

Step = Callable[[str], str]
_LINE_FEEDS = re.compile("\n+")
_STEPS: dict[str, Step] = {
    "strip": str.strip,
    "one-line": lambda text: _LINE_FEEDS.sub(" ", text),
    "joined": lambda text: " ".join(text.split()),
    "unprefixed": lambda text: text.replace("Title: Content: ", ""),
    "fixed": fixed,
    "unbracketed": unbracketed,
}


class PreparedCutter:
    """Cuts and prepares texts by a style's steps; a limit shorter than `longest` shortens passages further, by tokens.

    `tokens` cuts to `longest`, and without a codec by words. A text that goes through the tokenizer is NFC-normalised,
    as in the authors' programs.
    """

    def __init__(self, style: MessageStyle, codec: Codec | None, longest: int) -> None:
        self._style, self._codec, self._longest = style, codec, longest

    def whole_query(self, text: str) -> str:
        """The query as it is shown."""
        return self._prepared(text, self._style.prepare_query, self._longest)

    def query(self, text: str, limit: int) -> str:
        """A shown query, cut to `limit` tokens."""
        return self._cut(text, limit)

    def passage(self, document: Document, limit: int) -> str:
        """The passage as it is shown, of at most `limit` tokens where that is below `longest`."""
        text = self._prepared(self._source(document), self._style.prepare, min(limit, self._longest))
        return text if limit >= self._longest else self._cut(text, limit)

    def length(self, document: Document, limit: int) -> int:
        """The number of tokens of the passage, at most `limit`."""
        text = self.passage(document, self._longest)
        if self._codec is None:
            return min(limit, estimated_tokens(text))
        return min(limit, self._codec.beginning(text, limit, _whole).count)

    def _source(self, document: Document) -> str:
        if not document.title:
            return document.text
        parts = {"title": [Span(document.title, False)], "text": [Span(document.text, False)]}
        return joined(filled_spans(self._style.title, parts))

    def _prepared(self, text: str, steps: tuple[str, ...], longest: int) -> str:
        text = replace_lone_surrogates(text)
        for step in steps:
            name, _, number = step.partition(" ")
            text = self._step(text, name, int(number) if number else longest)
        return text

    def _step(self, text: str, name: str, number: int) -> str:
        if name == "tokens":
            return self._cut(text, number)
        if name == "characters":
            return text[:number]
        if name == "words":
            return " ".join(text.split()[:number])
        return _STEPS[name](text)

    def _cut(self, text: str, limit: int) -> str:
        if self._codec is None:
            return cut_to_words(text, limit) if limit else ""
        return self._codec.beginning(text, limit, _whole).text


def _whole(text: str) -> str:
    return text
