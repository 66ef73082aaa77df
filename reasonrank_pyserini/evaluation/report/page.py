"""The page: the data inside the package's template, style and script, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ...files.atomic import atomic_open
from .blocks import blocks
from .index import make_index
from .report_inputs import Result
from .report_sources import Sources

SCRIPTS = ("text.js", "summary.js", "detail.js", "page.js")
"""Joined in this order into one script."""


def write_report(
    path: str | Path,
    results: Sequence[tuple[Result, Sources]],
    *,
    title: str = "Reranking report",
    passage_chars: int = 300,
    leaderboards: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the page: one file that loads nothing else, with foreign text shown as text, never as markup.

    Raises InputError for a path that cannot be written, OutputError when writing fails.
    """
    head, tail = _page(title, make_index(title, results, leaderboards))
    with atomic_open(path) as stream:
        stream.write(head)
        for id, block in blocks(results, passage_chars):
            stream.write(f'<script type="application/octet-stream" id="{id}">{block}</script>\n')
        stream.write(tail)


def _page(title: str, index: Mapping[str, Any]) -> tuple[str, str]:
    """What comes before and after the blocks."""
    style, script = _read("page.css"), "".join(map(_read, SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_sha256(script)}'; style-src '{_sha256(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "TITLE": html.escape(title.encode("utf-8", "replace").decode()),
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "INDEX": inline_json(index),
    }
    whole = re.sub("@(TITLE|POLICY|STYLE|SCRIPT|INDEX)@", lambda m: parts[m[1]], _read("page.html"))
    head, _, tail = whole.rpartition("@BLOCKS@\n")
    return head, tail


def inline_json(value: Any) -> str:
    """The value as ASCII JSON without `<`, `>` and `&`, safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
