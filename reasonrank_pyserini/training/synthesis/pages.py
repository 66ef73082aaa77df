"""Web pages as passages: text extracted from HTML, cut at paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import InputError
from ...lazy import require
from ...types import Document
from .sources import Page

PASSAGE_WORDS = 200
"""Most words of a passage; paragraphs are kept whole where they fit."""
_SKIPPED = (
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "iframe",
    "svg",
)
_LOOKS_LIKE_HTML = re.compile(rb"<\s*(!doctype\s+html|html|head|body|div|p|article|table)\b", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def page_passages(page: Page, words: int = PASSAGE_WORDS) -> list[Document]:
    """The passages of a page, in order, as documents `name#1`, `name#2`, ... with the page's title.

    Empty for a page without text, for one nested too deeply to be read, and for PDF and other binary files.
    """
    try:
        raw = page.file.read_bytes()
    except OSError as error:
        raise InputError(f"page {page.file} cannot be read: {error.strerror}") from error
    if raw.startswith(b"%PDF") or b"\0" in raw[:4096]:
        return []
    title, text = html_text(raw) if _LOOKS_LIKE_HTML.search(raw[:4096]) else ("", _decoded(raw))
    return [
        Document(f"{page.name}#{number}", passage, title)
        for number, passage in enumerate(split_passages(text, words), 1)
    ]


def html_text(raw: bytes) -> tuple[str, str]:
    """(title, text) of an HTML page as a reader sees it, without menus, forms and scripts.

    Bytes that are valid UTF-8 are read as UTF-8, others in the encoding that the page declares.
    """
    html = require("lxml.html", "reading HTML pages")
    inscriptis = require("inscriptis", "reading HTML pages")
    etree = require("lxml.etree", "reading HTML pages")
    try:
        root = html.fromstring(raw, parser=html.HTMLParser(encoding="utf-8") if _is_utf8(raw) else None)
    except (etree.ParserError, ValueError):  # nothing in it
        return "", ""
    title = " ".join((root.findtext(".//title") or "").split())
    for element in list(root.iter(*_SKIPPED)):
        if element.getparent() is not None:
            element.drop_tree()
    return title, str(inscriptis.Inscriptis(root).get_text())


def split_passages(text: str, words: int = PASSAGE_WORDS) -> Iterator[str]:
    """Passages of whole paragraphs, up to `words` words; a longer paragraph is cut between words."""
    held: list[str] = []
    size = 0
    for paragraph in _paragraphs(text, words):
        length = len(paragraph.split())
        if held and size + length > words:
            yield "\n\n".join(held)
            held, size = [], 0
        held.append(paragraph)
        size += length
    if held:
        yield "\n\n".join(held)


def _paragraphs(text: str, words: int) -> Iterator[str]:
    for paragraph in _EMPTY_LINES.split(text):
        if len(tokens := paragraph.split()) <= words:
            if tokens:
                yield paragraph.strip()
            continue
        for start in range(0, len(tokens), words):
            yield " ".join(tokens[start : start + words])


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8-sig", "replace")
