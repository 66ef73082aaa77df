"""Texts before they are tokens: the authors' steps on queries and passages, and who wrote which span."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

import ftfy
from ftfy.badness import is_bad

from ..types import Document

_BRACKETED = re.compile(r"\[(\d+)\]")
_PLACEHOLDER = re.compile(r"(\{(?:num|query|i|text)\})")
_UNCHANGED = bytes(code for code in (*b"\t\n\f", *range(0x20, 0x7F)) if code != ord("&"))
_MAY_CHANGE = re.compile(
    "[^\t\n\x20-\x25\x27-\x7e\u00a1-\u00ac\u00ae-\u0131\u0134-\u0148\u014a-\u017e\u2010-\u2017\u2020-\u2027\u2030-\u205e]"
)
"""What ftfy may change in a text that holds no sequence of characters which looks wrongly decoded."""
_WORD = re.compile(r"\s*\S+")
LONGEST_LINE = 900_000
"""Characters of a line that ftfy surely takes whole: it breaks lines of a million, counted with what a prompt puts
before them."""
WORDS_PER_TOKEN = 0.75
CHARACTERS_PER_TOKEN = 6


class Span(NamedTuple):
    """A stretch of a prompt; `trusted` when no character of it comes from a query or a passage."""

    text: str
    trusted: bool


def joined(spans: Iterable[Span]) -> str:
    """The text of the spans in a row."""
    return "".join(span.text for span in spans)


def filled(template: str, untrusted: dict[str, str], **trusted: str) -> list[Span]:
    """The spans of a style's text with its placeholders replaced; values are never scanned themselves."""
    spans = []
    for part in _PLACEHOLDER.split(template):
        name = part[1:-1]
        if _PLACEHOLDER.fullmatch(part) and name in untrusted:
            spans.append(Span(untrusted[name], False))
        elif _PLACEHOLDER.fullmatch(part) and name in trusted:
            spans.append(Span(trusted[name], True))
        elif part:
            spans.append(Span(part, True))
    return spans


def unbracketed(text: str) -> str:
    """The text with every `[12]` written `(12)`, so that it cannot pass for a passage's identifier."""
    return _BRACKETED.sub(r"(\1)", text)


def query_text(query: str) -> str:
    """A query as a prompt shows it, before the whole prompt's ftfy pass."""
    return unbracketed(query).strip()


def passage_source(document: Document) -> str:
    """A document's text with its title if any, stripped, before ftfy and the cut."""
    text = f"Title: {document.title} Content: {document.text}" if document.title else document.text
    return text.strip()


def replace_lone_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates as U+FFFD, as ftfy does at last anyway."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fixed(text: str, unescape: bool = True) -> str:
    """`ftfy.fix_text`, where `unescape` False means that an earlier line has held a `<`.

    A text that has nothing that ftfy changes, as most have, is returned as it is at little cost.
    """
    if text.isascii():
        if not text.encode().translate(None, _UNCHANGED):
            return text
    elif (
        len(text) < LONGEST_LINE
        and not _MAY_CHANGE.search(text)
        and not any(map(is_bad, text.splitlines(True)))
    ):
        return text
    return str(ftfy.fix_text(text, unescape_html="auto" if unescape else False))


def fixed_spans(spans: Sequence[Span], unescape: bool = True) -> tuple[list[Span], bool]:
    """`ftfy.fix_text` of whole lines with their authorship kept, and the state for the lines that follow.

    ftfy works line by line; all that passes from one line to the next is that HTML entities stay as they
    are from the first line with a `<` on. Joined results of consecutive calls equal one call on all.
    Where a line mixes authors, what is still the trusted beginning and end of that line stays trusted.
    """
    out: list[Span] = []
    for line in _lines(spans):
        raw = joined(line)
        new = fixed(raw, unescape)
        unescape = unescape and "<" not in raw
        if len({span.trusted for span in line}) == 1:
            out.append(Span(new, line[0].trusted))
        elif new == raw:
            out.extend(line)
        else:
            out.extend(_attributed(new, line))
    return out, unescape


def _lines(spans: Sequence[Span]) -> Iterator[list[Span]]:
    line: list[Span] = []
    for text, trusted in spans:
        start = 0
        while (end := text.find("\n", start) + 1) > 0:
            yield [*line, Span(text[start:end], trusted)]
            line, start = [], end
        if start < len(text):
            line.append(Span(text[start:], trusted))
    if line:
        yield line


def _attributed(new: str, line: Sequence[Span]) -> list[Span]:
    head = line[0].text if line[0].trusted else ""
    tail = line[-1].text if line[-1].trusted else ""
    return between(new, head, tail)


def between(text: str, head: str, tail: str) -> list[Span]:
    """The text's spans: trusted as far as it begins like `head` and ends like `tail`, untrusted between."""
    start = _agreeing(text, head)
    end = len(text) - _agreeing(reversed(text[start:]), reversed(tail))
    return [Span(text[:start], True), Span(text[start:end], False), Span(text[end:], True)]


def _agreeing(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def cut_to_words(text: str, tokens: int) -> str:
    """The beginning of a text that is about `tokens` long when no tokenizer is known.

    Counts 3 words for 4 tokens and never takes more than 6 characters a token.
    """
    text = text[: tokens * CHARACTERS_PER_TOKEN]
    end = 0
    for match in islice(_WORD.finditer(text), max(1, int(tokens * WORDS_PER_TOKEN))):
        end = match.end()
    return text[:end]


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has when no tokenizer is known: the inverse of `cut_to_words`."""
    return max(round(len(text.split()) / WORDS_PER_TOKEN), len(text) // CHARACTERS_PER_TOKEN)
