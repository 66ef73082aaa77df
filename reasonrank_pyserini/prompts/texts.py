"""Text steps before tokenization, as the authors' code takes them, and which spans are trusted."""

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
"""What ftfy may change in a text without sequences of characters that look wrongly decoded."""
_WORD = re.compile(r"\s*\S+")
LONGEST_LINE = 900_000
"""Characters of a line that ftfy certainly does not split: it splits lines at a million, the prompt's text before
them included."""
_SEGMENT = 1_000_000
"""Characters after which ftfy splits a line."""
WORDS_PER_TOKEN = 0.75
CHARACTERS_PER_TOKEN = 6


class Span(NamedTuple):
    """A part of a prompt; `trusted` if no character of it comes from a query or a passage."""

    text: str
    trusted: bool


def joined(spans: Iterable[Span]) -> str:
    """The concatenated text of the spans."""
    return "".join(span.text for span in spans)


def filled(template: str, untrusted: dict[str, str], **trusted: str) -> list[Span]:
    """The spans of a style's text with its placeholders replaced; placeholders in values are left alone."""
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
    """The text with every `[12]` as `(12)`, so that it is not mistaken for a passage's identifier."""
    return _BRACKETED.sub(r"(\1)", text)


def query_text(query: str) -> str:
    """A query as in the prompt, before ftfy fixes the whole prompt."""
    return unbracketed(query).strip()


def passage_source(document: Document) -> str:
    """A document's text with its title if any, stripped, before ftfy and the cut."""
    text = f"Title: {document.title} Content: {document.text}" if document.title else document.text
    return text.strip()


def replace_lone_surrogates(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates as U+FFFD, as ftfy does in the end."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fixed(text: str, unescape: bool = True) -> str:
    """`ftfy.fix_text`; `unescape` is False after a line with a `<`, as in ftfy.

    Most texts contain nothing that ftfy changes; they are returned unchanged at little cost.
    """
    if text.isascii():
        rest = text.encode().translate(None, _UNCHANGED)
        if not rest.strip(b"\r"):  # ftfy works line by line, which takes minutes for a million of them
            return text.replace("\r\n", "\n").replace("\r", "\n") if rest else text
    elif (
        len(text) < LONGEST_LINE
        and not _MAY_CHANGE.search(text)
        and not any(map(is_bad, text.splitlines(True)))
    ):
        return text
    return str(ftfy.fix_text(text, unescape_html="auto" if unescape else False))


def start_of(text: str, size: int) -> str:
    """The beginning of a text, of at least `size` characters if it has them, that ftfy fixes as within the whole text:
    up to the end of a line, or of a part of one where ftfy splits it."""
    if size >= len(text):
        return text
    line, end = text.rfind("\n", 0, size) + 1, text.find("\n", size) + 1 or len(text)
    segments = -(-(size - line) // _SEGMENT)
    return text[: min(end, line + max(1, segments) * _SEGMENT)]


def fixed_spans(spans: Sequence[Span], unescape: bool = True) -> tuple[list[Span], bool]:
    """`ftfy.fix_text` of whole lines that keeps track of trust, and the `unescape` state for the next lines.

    ftfy works line by line; the only state between lines is that HTML entities are left alone from the first
    line with a `<` on. The joined results of consecutive calls equal one call on the whole. In a line of mixed
    trust, as much as still equals the trusted beginning and end of the line stays trusted.
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
    """The text as spans: trusted while it equals `head` at the start and `tail` at the end, untrusted between."""
    start = _agreeing(text, head)
    end = len(text) - _agreeing(reversed(text[start:]), reversed(tail))
    return [Span(text[:start], True), Span(text[start:end], False), Span(text[end:], True)]


def _agreeing(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def cut_to_words(text: str, tokens: int) -> str:
    """The beginning of a text of about `tokens` tokens: 3 words for 4 tokens, at most 6 characters a token."""
    text = text[: tokens * CHARACTERS_PER_TOKEN]
    end = 0
    for match in islice(_WORD.finditer(text), max(1, int(tokens * WORDS_PER_TOKEN))):
        end = match.end()
    return text[:end]


def estimated_tokens(text: str) -> int:
    """The approximate number of tokens of a text, without a tokenizer: the inverse of `cut_to_words`."""
    return max(round(len(text.split()) / WORDS_PER_TOKEN), len(text) // CHARACTERS_PER_TOKEN)
