"""XML topics of TREC's newer tracks: one element for each topic, with its number and fields."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from ..types import Query
from .kinds import resemblance
from .lines import BOM, raw_lines

log = logging.getLogger(__name__)

TOPICS = ("topic", "top", "query", "task")
_FORMATS = "give TSV lines id<TAB>text, JSONL, or <topics> with a <topic number=...> each"
NUMBERS = ("number", "num", "id", "qid", "topicid", "query_id")
TEXTS = ("title", "query", "question", "text", "keyword", "description", "desc", "summary", "note")


def xml_topics(path: str | Path, field: str | None = None) -> Iterator[tuple[int, Query]]:
    """(place from 1, topic) of every topic: its number from an attribute or an element, its text from `field`.

    Without `field` the text is the first that is there of title, query, question, text, keyword, description,
    summary and note, or what stands in the topic itself (clinical trials). Numbers are kept as written.
    FileFormatError for invalid XML and for topics without number or text. External entities are not followed.
    """
    from xml.etree import ElementTree

    text = b"".join(raw for _, _, raw in raw_lines(path)).removeprefix(BOM)
    line = text.partition(b"\n")[0]
    hint = resemblance(line) if b"html" in line.lower() else ""
    bare = text[:7].lower() in (b"<topic ", b"<topic>")
    try:  # some tracks write topics one after another, without an element around them
        root = ElementTree.fromstring(b"<topics>" + text + b"</topics>" if bare else text)
    except ElementTree.ParseError as error:
        hint = hint or ("; a plain & is written &amp;" if "invalid token" in str(error) else "")
        raise FileFormatError(path, error.position[0], f"not XML ({error}){hint}: {_FORMATS}") from error
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2].lower()
    topics = next((named for name in TOPICS if (named := list(root.iter(name)))), None)
    if topics is None:
        inside = ", ".join(dict.fromkeys(str(child.tag) for child in root)) or "nothing"
        raise FileFormatError(path, None, f"no <topic> elements (it holds {inside}){hint}: {_FORMATS}")
    found = [_query(path, place, topic, field) for place, topic in enumerate(topics, 1)]
    used = ", ".join(dict.fromkeys(text for _, text in found))
    log.warning("reasonrank: %s: topics in XML, the text of each is its %s", path, used)
    yield from enumerate((query for query, _ in found), 1)


def _query(path: str | Path, place: int, topic: Any, field: str | None) -> tuple[Query, str]:
    """The topic and the name of the field that its text is from."""
    parts = {str(child.tag).lower(): " ".join("".join(child.itertext()).split()) for child in topic}
    given = {str(key).lower(): str(value) for key, value in topic.attrib.items()} | parts
    has = ", ".join(given) or "no fields"
    number = next((given[name].strip() for name in NUMBERS if given.get(name, "").strip()), None)
    if number is None:
        raise FileFormatError(path, None, f"topic {place} has no number; it has {has}")
    if field is not None and field not in parts:
        raise FileFormatError(path, None, f"topic {number!r} has no <{field}>; it has {has}")
    names = (field,) if field is not None else TEXTS
    used = next((name for name in names if parts.get(name)), "content")
    text = parts.get(used) or " ".join((topic.text or "").split())
    if not text:
        problem = (
            f"topic {number!r} has no text under a known name; it has {has}: name one as `query_variant`"
        )
        raise FileFormatError(path, None, problem)
    return Query(number, text), used
