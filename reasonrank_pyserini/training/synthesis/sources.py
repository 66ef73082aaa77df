"""Source records: what a training list is made from, in JSONL, one query a line.

Every line has `id` and a text, and may name its `dataset` (the file's name otherwise) and its `domain` (the
request's otherwise). Fields by domain, the first one found counts:

    domain   text                  gold, seen by the first call alone   candidates
    qa       query, question       answer, gold                         `pages`, `negatives`, a first stage
    coding   problem, query        solution, answer, gold               a first stage, `pages`, `negatives`
    math     problem, theorem, query   solution, proof, answer, gold    a first stage, `pages`, `negatives`
    web      query, question       none                                 a first stage, `pages`, `negatives`

`pages` are linked from the gold answer, `negatives` only look right, such as the results of a web search for the
question. Both are lists of files, HTML or text, relative to the JSONL's folder: a path, or
{"file": path, "url": its address}. Pages become passages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import FileFormatError, UnknownNameError
from ...files.document_records import QUERY_IDS, as_text, fields_of, find_id, find_text
from ...files.lines import json_type, read_objects


@dataclass(frozen=True, slots=True)
class Domain:
    """A kind of source: the fields of its text and of its gold answer."""

    name: str
    texts: tuple[str, ...]
    gold: tuple[str, ...]


DOMAINS = {
    domain.name: domain
    for domain in (
        Domain("qa", ("query", "question", "text"), ("answer", "gold")),
        Domain("coding", ("problem", "query", "text"), ("solution", "answer", "gold")),
        Domain("math", ("problem", "theorem", "query", "text"), ("solution", "proof", "answer", "gold")),
        Domain("web", ("query", "question", "text"), ()),
    )
}
"""The paper's four domains."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page on disk; `name` begins the ids of its passages (its URL, else its path as given)."""

    file: Path
    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """One query to make a list for. `gold` is empty where the domain has none."""

    dataset: str
    domain: str
    id: str
    text: str
    gold: str = ""
    pages: tuple[Page, ...] = ()
    negatives: tuple[Page, ...] = ()


def read_sources(path: str | Path, domain: str | None = None) -> Iterator[Source]:
    """The sources of a file, in order; FileFormatError for a line that lacks a field, or has an id again."""
    seen: dict[str, int] = {}
    for line, record in read_objects(path):
        source = _source(Path(path), line, record, domain)
        if source.id in seen:
            raise FileFormatError(path, line, f"id {source.id!r} again (first on line {seen[source.id]})")
        seen[source.id] = line
        yield source


def _source(path: Path, line: int, record: Mapping[str, Any], domain: str | None) -> Source:
    name = record.get("domain") or domain
    if name is None:
        known = ", ".join(DOMAINS)
        raise FileFormatError(path, line, f"no domain: add the field domain, or give `domain` ({known})")
    if name not in DOMAINS:
        raise FileFormatError(path, line, str(UnknownNameError("domain", str(name), DOMAINS)))
    kind = DOMAINS[name]
    text = find_text(path, line, record, kind.texts).strip()
    if not text:
        raise FileFormatError(path, line, f"an empty {kind.texts[0]}; {fields_of(record)}")
    gold = next((as_text(path, line, f, record[f]) for f in kind.gold if record.get(f) is not None), "")
    return Source(
        dataset=str(record.get("dataset") or path.name.partition(".")[0]),
        domain=kind.name,
        id=find_id(path, line, record, QUERY_IDS),
        text=text,
        gold=gold.strip(),
        pages=_pages(path, line, "pages", record),
        negatives=_pages(path, line, "negatives", record),
    )


def _pages(path: Path, line: int, name: str, record: Mapping[str, Any]) -> tuple[Page, ...]:
    values = record.get(name) or []
    if not isinstance(values, list):
        raise FileFormatError(path, line, f"field {name!r} holds {json_type(values)}, not a list of pages")
    pages = []
    for value in values:
        given = value if isinstance(value, Mapping) else {"file": value}
        file = given.get("file")
        if not isinstance(file, str) or not file:
            raise FileFormatError(path, line, f"a page of {name!r} has no file")
        page = Page(path.parent / file, str(given.get("url") or file))
        if not page.file.is_file():
            raise FileFormatError(path, line, f"page {page.file} does not exist")
        pages.append(page)
    return tuple(pages)
