"""Whole prompts from a query and cut passages: from scratch, from cached pieces, or as messages alone."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from .cache import BoundedCache
from .codec import Codec
from .styles import PromptStyle
from .template import ChatTemplate
from .texts import LONGEST_LINE, Span, estimated_tokens, filled, fixed, fixed_spans, joined

_NEXT = "[1] a"
_LABEL = "[1] "


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole prompt; without a tokenizer `ids` is None and `tokens` an estimate."""

    text: str
    ids: tuple[int, ...] | None
    messages: tuple[Mapping[str, str], ...]
    tokens: int
    neutralised: int


class Assembly(Protocol):
    """Makes a prompt from a query and passages that are already cut."""

    def draft(self, query: str, passages: Sequence[str]) -> Draft: ...


def user_spans(style: PromptStyle, query: str, passages: Sequence[str]) -> list[Span]:
    """The user message, before ftfy fixes the whole prompt."""
    spans = _header(style, query, len(passages))
    for number, text in enumerate(passages, 1):
        spans += filled(style.passage, {"text": text}, i=str(number))
    return spans + _footer(style, query, len(passages))


def _header(style: PromptStyle, query: str, num: int) -> list[Span]:
    return filled(style.header, {"query": query}, num=str(num))


def _footer(style: PromptStyle, query: str, num: int) -> list[Span]:
    return filled(style.footer, {"query": query}, num=str(num))


class MessagesOnly:
    """Messages for a server with an unknown tokenizer; control strings in them are unchanged."""

    def __init__(self, style: PromptStyle) -> None:
        self._style = style

    def draft(self, query: str, passages: Sequence[str]) -> Draft:
        """A system and a user message, each fixed by ftfy."""
        system, user = fixed(self._style.system), fixed(joined(user_spans(self._style, query, passages)))
        messages = ({"role": "system", "content": system}, {"role": "user", "content": user})
        return Draft("", None, messages, estimated_tokens(system) + estimated_tokens(user), 0)


class PlainAssembly:
    """Each prompt from scratch: template, ftfy over the whole, one tokenization. Works with any template."""

    def __init__(self, style: PromptStyle, template: ChatTemplate, codec: Codec) -> None:
        self._style, self._template, self._codec = style, template, codec

    def draft(self, query: str, passages: Sequence[str]) -> Draft:
        """The prompt, which every other assembly must equal."""
        user = user_spans(self._style, query, passages)
        content = joined(user)
        frame = self._template.frame(content)
        whole = self._template.rewritten(user) if frame is None else _framed(user, frame)
        spans, _ = fixed_spans(whole)
        encoded = self._codec.encode(spans)
        ids = self._codec.surrounded(encoded.ids)
        text = joined(spans)
        messages = self._template.messages(_user_part(text, content, frame))
        return Draft(text, ids, messages, len(ids), encoded.neutralised)


def _framed(user: Sequence[Span], frame: tuple[str, ...]) -> list[Span]:
    spans = [Span(frame[0], True)]
    for part in frame[1:]:
        spans += (*user, Span(part, True))
    return spans


def _user_part(text: str, content: str, frame: tuple[str, ...] | None) -> str:
    """The user message as in the fixed prompt, so that the template renders the same prompt again."""
    if frame is None or len(frame) > 2 or not (text.startswith(frame[0]) and text.endswith(frame[1])):
        return fixed(content)
    return text[len(frame[0]) : len(text) - len(frame[1])]


@dataclass(frozen=True, slots=True)
class PromptPiece:
    """Some lines of a prompt: fixed text, ids, and whether ftfy still decodes entities after them.

    `ids` None: a token crosses the piece's border, so a prompt with this piece is made from scratch.
    """

    text: str
    ids: array[int] | None
    neutralised: int
    unescape: bool
    size: int


class PieceAssembly:
    """Prompts joined from cached pieces, equal to those of PlainAssembly, which is the fallback.

    A prompt is split at line starts before `[i]`, and between `]` and the space. ftfy sees the same lines as in
    the whole prompt; the tokenizer sees each piece between the first characters of its real neighbours.
    """

    def __init__(self, style: PromptStyle, template: ChatTemplate, codec: Codec, cache: BoundedCache) -> None:
        self._style, self._template, self._codec, self._cache = style, template, codec, cache
        self._plain = PlainAssembly(style, template, codec)
        self._label = lru_cache(256)(self._made_label)
        self._footer_start = style.footer.partition("{")[0][:16]

    @staticmethod
    def allows(style: PromptStyle) -> bool:
        """Whether a style's texts can be split into pieces."""
        return (
            style.passage == "[{i}] {text}\n"
            and style.header.endswith("\n")
            and style.footer[:1].isascii()
            and style.footer[:1].isalpha()
        )

    def draft(self, query: str, passages: Sequence[str]) -> Draft:
        """The prompt; only new pieces are normalized and tokenized."""
        content = self._content(query, passages)
        frame = self._template.frame(content)
        pieces = self._pieces(query, passages, *frame) if passages and frame and len(frame) == 2 else None
        if pieces is None:
            return self._plain.draft(query, passages)
        ids = array("I")
        for piece in pieces:
            ids.extend(piece.ids or ())
        text = "".join(piece.text for piece in pieces)
        whole = self._codec.surrounded(ids)
        messages = self._template.messages(_user_part(text, content, frame))
        return Draft(text, whole, messages, len(whole), sum(piece.neutralised for piece in pieces))

    def _content(self, query: str, passages: Sequence[str]) -> str:
        head, foot = _header(self._style, query, len(passages)), _footer(self._style, query, len(passages))
        body = "".join(f"[{number}] {text}\n" for number, text in enumerate(passages, 1))
        return f"{joined(head)}{body}{joined(foot)}"

    def _pieces(
        self, query: str, passages: Sequence[str], before: str, after: str
    ) -> list[PromptPiece] | None:
        num, cached = len(passages), self._cache.get
        pieces = [cached(("head", before, query, num), partial(self._head, query, num, before))]
        for number, text in enumerate(passages, 1):
            unescape, last = pieces[-1].unescape, number == num
            pieces.append(self._label(number))
            pieces.append(cached(("body", text, unescape, last), partial(self._body, text, unescape, last)))
        unescape = pieces[-1].unescape
        tail = ("tail", after, query, num, unescape)
        pieces.append(cached(tail, partial(self._tail, query, num, after, unescape)))
        return None if any(piece.ids is None for piece in pieces) else pieces

    def _head(self, query: str, num: int, before: str) -> PromptPiece:
        spans = [Span(before, True), *_header(self._style, query, num)]
        lines, unescape = fixed_spans(spans)
        return self._piece("", lines, _NEXT, unescape)

    def _made_label(self, number: int) -> PromptPiece:
        return self._piece("", [Span(f"[{number}]", True)], " a", True)

    def _body(self, text: str, unescape: bool, last: bool) -> PromptPiece:
        right = self._footer_start if last else _NEXT
        spans, raw = [Span(_LABEL, True), Span(text, False), Span("\n", True)], f"{_LABEL}{text}\n"
        if len(text) <= LONGEST_LINE and fixed(raw, unescape) == raw:
            left, space = _LABEL[:-1], Span(_LABEL[-1], True)
            return self._piece(left, [space, *spans[1:]], right, unescape and "<" not in text)
        lines, after = fixed_spans(spans, unescape)
        if len(text) > LONGEST_LINE or not (lines[0].trusted and lines[0].text.startswith(_LABEL)):
            return PromptPiece("", None, 0, after, 500)
        body = [Span(lines[0].text[len(_LABEL) - 1 :], True), *lines[1:]]
        return self._piece(_LABEL[:-1], body, right, after)

    def _tail(self, query: str, num: int, after: str, unescape: bool) -> PromptPiece:
        spans = [*_footer(self._style, query, num), Span(after, True)]
        lines, state = fixed_spans(spans, unescape)
        if not joined(lines).startswith(self._footer_start):
            return PromptPiece("", None, 0, state, 500)
        return self._piece("", lines, "", state)

    def _piece(self, left: str, spans: Sequence[Span], right: str, unescape: bool) -> PromptPiece:
        text = joined(spans)
        encoded = self._codec.encode_between(left, spans, right)
        if encoded is None:
            return PromptPiece(text, None, 0, unescape, 4 * len(text) + 500)
        size = 4 * len(encoded.ids) + 4 * len(text) + 500
        return PromptPiece(text, encoded.ids, encoded.neutralised, unescape, size)
