"""Topic files: TSV `id<TAB>text`, JSONL under the usual names, and old TREC topics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import FileFormatError
from ..types import Query
from .document_records import CANDIDATE_LISTS, QUERY_IDS, QUERY_TEXTS, find_id, find_text
from .kinds import resemblance
from .lines import check_file, read_lines, read_objects, starts_with
from .topics_xml import xml_topics

Numbered = Iterator[tuple[int, Query]]


def read_topics(path: str | Path, field: str | None = None) -> list[Query]:
    """The topics of a file, in its order, plain or gzip; the format is recognised by the content.

    In TSV everything after the first tab is the text; a header such as `qid<TAB>query` is skipped. JSONL (or one
    JSON array) has the id in id, qid, query_id or _id and the text in text, query, title or contents, or in `field`
    if given. TREC topics (`<top>`) give the title, or `field` (title, desc, narr), and lose leading zeros as in the
    qrels.
    XML topics of TREC's newer tracks are read by `topics_xml.xml_topics`. Empty texts are kept. Raises
    FileFormatError for bad lines, repeated ids and a file without topics.
    """
    check_file(path, "topics file")
    start = starts_with(path).lower()
    if start[:1] in ("{", "["):
        topics = _json_topics(path, field)
    elif start.startswith("<top>"):
        topics = _trec_topics(path, field or "title")
    elif start.startswith("<") and "\t" not in start:  # a TSV id may be <u>7</u>
        topics = xml_topics(path, field)
    elif field is not None:
        raise FileFormatError(path, None, f"no field {field!r}: a TSV topics file has the text only")
    else:
        topics = _tsv_topics(path)
    return _without_repeats(path, topics)


def topic_fields(path: str | Path) -> tuple[str, ...]:
    """The text fields of the first topic, which `read_topics` accepts as `field`; empty for TSV."""
    check_file(path, "topics file")
    start = starts_with(path)
    if start[:1] in ("{", "["):
        _, record = next(read_objects(path), (0, {}))
        return tuple(
            name for name, value in record.items() if name not in QUERY_IDS and isinstance(value, str)
        )
    return ("title", "desc", "narr") if start.lower().startswith("<top>") else ()


def _without_repeats(path: str | Path, topics: Iterable[tuple[int, Query]]) -> list[Query]:
    first: dict[str, int] = {}
    queries = []
    for line, query in topics:
        if query.id in first:
            raise FileFormatError(
                path, line, f"repeated query id {query.id!r} (first on line {first[query.id]})"
            )
        first[query.id] = line
        queries.append(query)
    if not queries:
        raise FileFormatError(path, None, "has no topics; give lines of id<TAB>text, or JSONL")
    return queries


_HEADER_IDS = {*QUERY_IDS, "query-id", "queryid", "topic", "topic_id", "number"}
_HEADER_TEXTS = {*QUERY_TEXTS, "question", "query_text"}
_TREC_COLUMNS = re.compile(r"[^\t]+\t(?:Q?0)\t[^\t]+\t-?\d+(?:\t[^\t]+\t[^\t]+)?")
"""Qrels or a run with tabs, which would pass for topics."""


def _tsv_topics(path: str | Path) -> Numbered:
    for place, (line, row) in enumerate(read_lines(path)):
        id, tab, text = row.partition("\t")
        if place == 0 and id.strip().lower() in _HEADER_IDS and text.strip().lower() in _HEADER_TEXTS:
            continue
        if not tab or (place == 0 and _TREC_COLUMNS.fullmatch(row)):
            hint = resemblance(row.encode()) if place == 0 else ""
            found = "columns" if tab else "no tab"
            raise FileFormatError(path, line, f"expected id<TAB>text, found {found} in {row[:60]!r}{hint}")
        if not id.strip(" "):
            raise FileFormatError(path, line, "the query id before the tab is empty")
        yield line, Query(id.strip(" "), text)


def _json_topics(path: str | Path, field: str | None) -> Numbered:
    for line, record in read_objects(path):
        if isinstance(record.get("query"), dict) or any(name in record for name in CANDIDATE_LISTS):
            raise FileFormatError(path, line, "this is a request file, not topics: give it as `requests`")
        names = (field,) if field else QUERY_TEXTS
        yield line, Query(find_id(path, line, record, QUERY_IDS), find_text(path, line, record, names))


_TAG = re.compile(r"<(/?[a-zA-Z]+)>")
_LABEL = re.compile(r"\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


def _trec_topics(path: str | Path, field: str) -> Numbered:
    """Fields run to the next tag, closed or not."""
    fields: dict[str, str] = {}
    tag, start, open_topic = "", 0, False
    for line, text in read_lines(path):
        position = 0
        for found in _TAG.finditer(text):
            _extend(fields, tag, text[position : found.start()])
            tag, position = found[1].lower(), found.end()
            if tag == "top":
                if open_topic:
                    raise FileFormatError(path, start, "<top> without </top>")
                fields, start, open_topic = {}, line, True
            elif tag == "/top":
                open_topic = False
                yield start, _trec_query(path, start, fields, field)
            elif not tag.startswith("/"):
                fields[tag] = ""
        _extend(fields, tag, text[position:])
    if open_topic:
        raise FileFormatError(path, start, "<top> without </top>")


def _extend(fields: dict[str, str], tag: str, text: str) -> None:
    if tag in fields:
        fields[tag] = f"{fields[tag]} {text.strip()}".strip()


def _trec_query(path: str | Path, line: int, fields: dict[str, str], field: str) -> Query:
    number = _LABEL.sub("", fields.get("num", ""), count=1).strip()
    if not number:
        raise FileFormatError(path, line, "topic without <num>")
    if field not in fields:
        raise FileFormatError(path, line, f"topic {number!r} has no <{field}>; it has {', '.join(fields)}")
    return Query(
        str(int(number)) if number.isdecimal() else number, _LABEL.sub("", fields[field], count=1).strip()
    )
