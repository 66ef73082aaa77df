"""Passages and queries cut to size: by a tokenizer as the authors cut, or by words where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..types import Document
from .cache import BoundedCache
from .codec import Codec
from .texts import Span, cut_to_words, estimated_tokens, fixed, passage_source, unbracketed


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as a prompt shows it, before the whole prompt's ftfy pass; `tokens` long before the brackets change."""

    text: str
    tokens: int


class Cutter(Protocol):
    """Cuts texts to a number of tokens."""

    def passage(self, document: Document, limit: int) -> Passage: ...
    def query(self, text: str, limit: int) -> str: ...


@dataclass(frozen=True, slots=True)
class _Tokenised:
    """A passage's tokens, in one string (ftfy leaves no NUL in a text), and the passage when none is cut off."""

    tokens: str
    whole: Passage
    size: int


class TokenCutter:
    """Cuts by the tokenizer: fixed by ftfy, tokenised once up to `longest`, cut, decoded."""

    def __init__(self, codec: Codec, cache: BoundedCache, longest: int) -> None:
        self._codec, self._cache, self._longest = codec, cache, longest

    def passage(self, document: Document, limit: int) -> Passage:
        """The passage's first `limit` tokens; `limit` is at most `longest`."""
        key = ("tokens", document.title, document.text)
        tokenised = self._cache.get(key, lambda: self._tokenised(document))
        if limit >= tokenised.whole.tokens:
            return tokenised.whole
        return self._joined(tokenised.tokens.split("\0", limit)[:limit])

    def query(self, text: str, limit: int) -> str:
        """The query, no longer than `limit` tokens with its control strings spelled out."""
        size = limit
        while True:
            tokens = self._codec.first_tokens(text, size + 1, paired)
            short = text if len(tokens) <= size else self._codec.joined_tokens(tokens[:size]).strip()
            length = len(self._codec.encode([Span(paired(short), False)]).ids)
            if length <= limit or size <= 1:
                return short
            size = max(1, size * limit // length)

    def _tokenised(self, document: Document) -> _Tokenised:
        tokens = self._codec.first_tokens(passage_source(document), self._longest, fixed)
        whole = self._joined(tokens)
        together = "\0".join(tokens)
        size = 2 * len(together) + 2 * len(whole.text) + len(document.title) + len(document.text) + 500
        return _Tokenised(together, whole, size)

    def _joined(self, tokens: Sequence[str]) -> Passage:
        return Passage(unbracketed(self._codec.joined_tokens(tokens)), len(tokens))


class WordCutter:
    """Cuts by words, 3 for 4 tokens, where no tokenizer is known."""

    def passage(self, document: Document, limit: int) -> Passage:
        """About the passage's first `limit` tokens."""
        text = cut_to_words(fixed(passage_source(document)), limit)
        return Passage(unbracketed(text), estimated_tokens(text))

    def query(self, text: str, limit: int) -> str:
        """The query, no longer than about `limit` tokens."""
        return cut_to_words(text, limit).strip()


def paired(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates as U+FFFD, as ftfy does at last anyway."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
