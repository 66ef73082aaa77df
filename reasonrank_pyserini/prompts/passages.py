"""Passages and queries cut to length: by tokens, as the authors cut, or by words without a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..types import Document
from .cache import BoundedCache
from .codec import Beginning, Codec
from .texts import (
    CHARACTERS_PER_TOKEN,
    Span,
    cut_to_words,
    estimated_tokens,
    fixed,
    passage_source,
    query_text,
    replace_lone_surrogates,
    start_of,
    unbracketed,
)


class Cutter(Protocol):
    """Cuts texts to a number of tokens; passages are as in the prompt, before ftfy fixes the whole prompt."""

    def passage(self, document: Document, limit: int) -> str: ...
    def length(self, document: Document, limit: int) -> int: ...
    def whole_query(self, text: str) -> str: ...
    def query(self, text: str, limit: int) -> str: ...


@dataclass(frozen=True, slots=True)
class _Sized:
    """The cached form of a passage: its text, and its first tokens if it had to be tokenized."""

    text: str
    beginning: Beginning | None
    size: int


class TokenCutter:
    """Cuts by tokens: fixed by ftfy, tokenized once up to `longest`, cut, decoded."""

    def __init__(self, codec: Codec, cache: BoundedCache, longest: int) -> None:
        self._codec, self._cache, self._longest = codec, cache, longest

    def passage(self, document: Document, limit: int) -> str:
        """The passage's first `limit` tokens; `limit` is at most `longest`."""
        short = len(document.title) + len(document.text) <= limit
        if short and limit == self._longest:  # may be kept whole without counting tokens
            return self._cache.get(("text", document.title, document.text), lambda: self._text(document)).text
        kept = self._tokenised(document)
        assert kept.beginning is not None
        if limit >= kept.beginning.count:
            return kept.text
        return unbracketed(self._codec.shortened(kept.beginning, limit))

    def length(self, document: Document, limit: int) -> int:
        """The number of tokens of the passage, at most `limit`, before brackets are replaced."""
        beginning = self._tokenised(document).beginning
        assert beginning is not None
        return min(limit, beginning.count)

    def whole_query(self, text: str) -> str:
        """The query, uncut."""
        return query_text(text)

    def query(self, text: str, limit: int) -> str:
        """The query, cut to `limit` tokens with its control strings counted as plain text."""
        size = limit
        while True:
            begun = self._codec.beginning(text, size + 1, _without_nul)
            short = text if begun.count <= size else self._codec.shortened(begun, size).strip()
            length = len(self._codec.encode([Span(replace_lone_surrogates(short), False)]).ids)
            if length <= limit or size <= 1:
                return short
            size = max(1, size * limit // length)

    def _text(self, document: Document) -> _Sized:
        source = passage_source(document)
        text = fixed(source)
        if self._codec.is_whole(text, self._longest):
            size = 2 * len(text) + len(document.title) + len(document.text) + 500
            return _Sized(unbracketed(text), None, size)
        return _Sized(self._tokenised(document).text, None, 500)  # the text belongs to the other entry

    def _tokenised(self, document: Document) -> _Sized:
        return self._cache.get(("tokens", document.title, document.text), lambda: self._counted(document))

    def _counted(self, document: Document) -> _Sized:
        begun = self._codec.beginning(passage_source(document), self._longest, fixed)
        size = 4 * len(begun.tokens) + 2 * len(begun.text) + len(document.title) + len(document.text) + 500
        return _Sized(unbracketed(begun.text), begun, size)


class WordCutter:
    """Cuts by words, 3 for 4 tokens, without a tokenizer."""

    def passage(self, document: Document, limit: int) -> str:
        """About the passage's first `limit` tokens."""
        return unbracketed(self._cut(document, limit))

    def length(self, document: Document, limit: int) -> int:
        """The approximate number of tokens of the passage cut to `limit`."""
        return estimated_tokens(self._cut(document, limit))

    def whole_query(self, text: str) -> str:
        """The query, uncut."""
        return query_text(text)

    def query(self, text: str, limit: int) -> str:
        """The query, cut to about `limit` tokens."""
        return cut_to_words(text, limit).strip()

    def _cut(self, document: Document, limit: int) -> str:
        source = passage_source(document)
        return cut_to_words(fixed(start_of(source, 8 * limit * CHARACTERS_PER_TOKEN)), limit)


def _without_nul(text: str) -> str:
    """The text without NUL and lone surrogates, as `Codec.beginning` needs it."""
    return replace_lone_surrogates(text).replace("\0", "\ufffd")
