"""The ids of ordinary Latin text, word by word from a cache: what the tokenizer gives, at a fraction of its cost."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Any
from unicodedata import category

from .splitting import QWEN_PATTERN, splits_with

_ORDINARY = "\t\n\r" + "".join(
    chr(code)
    for first, last in ((0x20, 0x7E), (0xA1, 0x24F), (0x2010, 0x2027), (0x2030, 0x205E), (0x20AC, 0x20AC))
    for code in range(first, last + 1)
    if code != 0x17F  # the long s, which is a letter s where case is ignored
)
"""Characters whose classes never change, that no normalisation to NFC touches, and that are no odd white space."""


def _class(of: str) -> str:
    return "".join(re.escape(c) for c in _ORDINARY if category(c)[0] == of)


_SPLIT = re.compile(
    QWEN_PATTERN.replace(r"\r\n\p{L}\p{N}", rf"\r\n{_class('L')}{_class('N')}")
    .replace(r"\s\p{L}\p{N}", rf"\s{_class('L')}{_class('N')}")
    .replace(r"\p{L}", f"[{_class('L')}]")
    .replace(r"\p{N}", f"[{_class('N')}]")
)
_ONLY_ORDINARY = re.compile(f"[{re.escape(_ORDINARY)}]+")
_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = {byte: 256 + number for number, byte in enumerate(b for b in range(256) if b not in _PRINTABLE)}
"""How byte-level BPE writes the bytes that are no printable Latin-1 character."""
_SPACE = chr(_OTHERS[0x20])
_BYTES = {chr(_OTHERS.get(byte, byte)) for byte in range(256)}
_MOST_WORDS, _LONGEST_WORD = 1 << 15, 64
_PROBE = "He'LL say:  [12] “naïve”\n\n  x² – 3.14\t(e.g.) don’t_stop!!\r\n ½ \n \t y"


class _UnknownWord(Exception):
    """A word that has to be left to the tokenizer."""


class _WordIds(dict[str, tuple[int, ...]]):
    """The ids of words that have been met; emptied when they are too many."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, word: str) -> tuple[int, ...]:
        if word.isascii() and word.isprintable():
            spelled = word.replace(" ", _SPACE)
        elif _ONLY_ORDINARY.fullmatch(word) is not None:
            spelled = word.encode().decode("latin-1").translate(_OTHERS)
        else:
            raise _UnknownWord
        ids = tuple([token.id for token in self._model.tokenize(spelled)])
        if len(word) <= _LONGEST_WORD:
            if len(self) >= _MOST_WORDS:
                self.clear()
            self[word] = ids
        return ids


class Words:
    """Encodes ordinary text as a tokenizer does that splits as Qwen's do; may be used from several threads.

    Ordinary is what holds no added token's string and only characters of Latin scripts and common punctuation.
    At most 32,768 words are kept, of at most 64 characters (about 10 MB).
    """

    def __init__(self, tokenizer: Any, added: Iterable[str]) -> None:
        strings = [string for string in added if string]
        self._first_letters = {string[0] for string in strings}
        self._added = re.compile("|".join(map(re.escape, strings)))
        self._ids = _WordIds(tokenizer.model)
        self._split = lru_cache(64)(_SPLIT.findall)

    @classmethod
    def of(cls, tokenizer: Any, added: Iterable[str]) -> Words | None:
        """For a `tokenizers.Tokenizer` with these added tokens; None where it does not work this way."""
        if not splits_with(tokenizer, QWEN_PATTERN):
            return None
        if not tokenizer.get_vocab(False).keys() >= _BYTES or type(tokenizer.decoder).__name__ != "ByteLevel":
            return None
        words = cls(tokenizer, added)
        found = words.ids(_PROBE)
        return words if found is not None and list(found) == tokenizer.encode(_PROBE).ids else None

    def spells(self, text: str) -> bool:
        """Whether the tokens of a text in NFC spell just this text: they do unless an added token's string is in it."""
        return not self._holds_added(text)

    def ids(self, text: str) -> array[int] | None:
        """The text's ids; None where it is not ordinary."""
        return None if not self.spells(text) else self._together(_SPLIT.findall(text))

    def ids_between(self, left: str, middle: str, right: str) -> array[int] | None:
        """The ids of `middle` inside the three; None where they are not ordinary or a word reaches over a border."""
        text = f"{left}{middle}{right}"
        if self._holds_added(text):
            return None
        found, head, tail = _SPLIT.findall(text), self._split(left), self._split(right)
        start, end = len(head), len(found) - len(tail)
        if start > end or found[:start] != head or found[end:] != tail:
            return None
        return self._together(found[start:end])

    def _together(self, words: Iterable[str]) -> array[int] | None:
        try:
            return array("I", chain.from_iterable(map(self._ids.__getitem__, words)))
        except _UnknownWord:
            return None

    def _holds_added(self, text: str) -> bool:
        return any(letter in text for letter in self._first_letters) and bool(self._added.search(text))
