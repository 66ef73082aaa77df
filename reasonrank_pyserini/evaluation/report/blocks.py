"""What the page reads on demand: compressed blocks of passages, windows and searchable text."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...jobs.trace import QueryResult
from ...types import Document
from .report_inputs import Result
from .report_sources import Sources

GROUP = 8
"""Queries in one block."""

TEXTS = 100
"""Ranks whose passages are kept even if no window showed them."""

Place = tuple[int, int]
"""Where a passage is kept: the number of the group, and the position in its block."""


def pack(value: Any) -> str:
    """The value as JSON, deflated without header, in base64: nothing in it can end an HTML element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
    data = squeezer.compress(text.encode("utf-8", "backslashreplace")) + squeezer.flush()
    return base64.b64encode(data).decode("ascii")


def blocks(results: Sequence[tuple[Result, Sources]], passage_chars: int) -> Iterator[tuple[str, str]]:
    """(element id, packed block) of the whole page, one at a time; queries are numbered through all results.

    `t<g>`: texts of the passages first seen with a query of group g; `w<g>`: orders, grades and windows of its
    queries; `s<m>`: the searchable text of result m, docids and whole query texts.
    """
    texts, pending = Passages(passage_chars), Group(0)
    number = 0
    for position, (result, sources) in enumerate(results):
        for query in result.queries:
            if number // GROUP != pending.number:
                yield from pending.packed()
                pending = Group(number // GROUP)
            places = texts.place(pending, position, with_text(query), sources)
            pending.queries.append(_query_block(query, sources, pending.number, places))
            number += 1
        yield f"s{position}", pack(_search_block(result, sources))
    yield from pending.packed()


@dataclass(slots=True)
class Group:
    """Queries packed together: one large block compresses better than many small ones."""

    number: int
    texts: list[str] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)

    def packed(self) -> Iterator[tuple[str, str]]:
        if self.texts:
            yield f"t{self.number}", pack(self.texts)
        yield f"w{self.number}", pack(self.queries)


class Passages:
    """Keeps every distinct passage once, in the block of the group that shows it first."""

    def __init__(self, characters: int) -> None:
        self._characters = characters
        self._known: dict[tuple[int, str], Place | None] = {}
        self._same: dict[str, Place] = {}

    def place(
        self, group: Group, result: int, ids: Sequence[str], sources: Sources
    ) -> dict[str, Place | None]:
        """The place of each id's text (None: no text); new texts join the group's."""
        unknown = [id for id in ids if (result, id) not in self._known]
        documents = sources.texts(unknown) if self._characters else {}
        for id in unknown:
            text = excerpt(documents[id], self._characters) if id in documents else ""
            if text and text not in self._same:
                self._same[text] = (group.number, len(group.texts))
                group.texts.append(text)
            self._known[result, id] = self._same[text] if text else None
        return {id: self._known[result, id] for id in ids}


def with_text(query: QueryResult) -> list[str]:
    """The docids whose text the page holds: the first `TEXTS` before and after, and all that a window showed."""
    shown = (id for window in query.windows for id in window.window)
    return list(dict.fromkeys([*query.before[:TEXTS], *query.after[:TEXTS], *shown]))


def excerpt(document: Document, characters: int) -> str:
    """The beginning of title and text, white space collapsed, with an ellipsis where it was cut."""
    parts = [
        " ".join(part[: 20 * characters + 20].split()) for part in (document.title, document.text) if part
    ]
    text = " | ".join(part for part in parts if part)
    longer = any(len(part) > 20 * characters + 20 for part in (document.title, document.text))
    return text if len(text) <= characters and not longer else text[:characters] + "…"


def _query_block(
    query: QueryResult, sources: Sources, group: int, places: Mapping[str, Place | None]
) -> dict[str, Any]:
    at = {id: position for position, id in enumerate(query.before)}
    grades: Mapping[str, int] = (sources.qrels or {}).get(query.id, {})
    strings: dict[str, int] = {}

    def kept(text: str) -> int:
        return strings.setdefault(text, len(strings))

    windows = []
    for window in query.windows:
        slot = {id: position for position, id in enumerate(window.window)}
        windows.append(
            {
                "s": [at[id] for id in window.window],
                "o": [slot[id] for id in window.order],
                "t": window.status,
                "r": kept(window.reasoning),
                "a": kept(window.answer),
                "n": [window.prompt_tokens, window.completion_tokens, window.seconds],
                "f": [int(window.cached), int(window.forced)],
                "e": window.error,
            }
        )
    return {
        "after": [at[id] for id in query.after],
        "grades": [grades.get(id) for id in query.before],
        "relevant": sum(grade > 0 for grade in grades.values()),
        "texts": [_relative(places.get(id), group) for id in query.before],
        "windows": windows,
        "strings": list(strings),
    }


def _relative(place: Place | None, group: int) -> int | Place | None:
    return place[1] if place is not None and place[0] == group else place


def _search_block(result: Result, sources: Sources) -> dict[str, Any]:
    ids: dict[str, int] = {}
    lists = [[ids.setdefault(id, len(ids)) for id in query.before] for query in result.queries]
    queries = [sources.queries.get(query.id, "") for query in result.queries]
    return {"ids": list(ids), "lists": lists, "queries": queries}
