"""Ids, texts and documents of JSON objects, under the names that public collections give them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from ..types import TEXT_FIELDS, Document, is_missing
from .lines import json_type, printable

DOCUMENT_IDS = ("id", "_id", "pid", "docid", "doc_id", "docno")
"""Names of a document's id, first found wins; `pid` before `docid`, which in MS MARCO v2 is the whole page."""

QUERY_IDS = ("id", "qid", "query_id", "_id")
CANDIDATE_LISTS = ("candidates", "hits", "bm25_results")
"""Names of a request's candidates in RankLLM, RankGPT, AcuRank."""
QUERY_TEXTS = ("text", "query", "title", "contents")


def find_id(path: str | Path, line: int | None, record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The record's id as a string, numbers included; FileFormatError when there is none."""
    name = next((name for name in names if record.get(name) is not None), None)
    if name is None:
        raise FileFormatError(path, line, f"no id: expected one of {', '.join(names)}; {fields_of(record)}")
    return as_id(path, line, name, record[name])


def as_id(path: str | Path, line: int | None, name: str, value: object) -> str:
    """An id given as a string or a number, as a string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FileFormatError(path, line, f"field {name!r} holds {json_type(value)}, not an id")
    if not str(value).strip():
        raise FileFormatError(path, line, f"field {name!r} holds an empty id")
    if isinstance(value, float) and not math.isfinite(value):
        raise FileFormatError(path, line, f"field {name!r} holds {value}, not an id")
    return str(value)


def find_text(path: str | Path, line: int | None, record: Mapping[str, Any], names: Sequence[str]) -> str:
    """The text of the first of `names` that is not null; an empty text when all that are there are null."""
    present = [name for name in names if name in record]
    if not present:
        raise FileFormatError(path, line, f"no text: expected one of {', '.join(names)}; {fields_of(record)}")
    name = next((name for name in present if not is_missing(record[name])), present[0])
    if record[name] is not None and is_missing(record[name]):
        raise FileFormatError(path, line, f"field {name!r} holds NaN, not a text")
    return as_text(path, line, name, record[name])


def as_text(path: str | Path, line: int | None, name: str, value: object) -> str:
    """A field's text; null and NaN are empty, numbers become text, lists and objects are FileFormatErrors."""
    if is_missing(value):
        return ""
    if isinstance(value, dict | list | bool):
        raise FileFormatError(path, line, f"field {name!r} holds {json_type(value)}, not a text")
    return str(value)


def find_document(path: str | Path, line: int | None, id: str, record: Mapping[str, Any]) -> Document:
    """The document of a record: text from the first of `TEXT_FIELDS` or `content`, `title` if any."""
    text = find_text(path, line, record, (*TEXT_FIELDS, "content"))
    title = as_text(path, line, "title", record.get("title"))
    return Document.from_record(id, {"text": text, "title": title})


def record_of(text: str) -> dict[str, Any]:
    """The record in a stored text when that is JSON with a text field, else the text itself as a record."""
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and any(isinstance(value.get(name), str) for name in TEXT_FIELDS):
            return value
    return {"text": text}


def fields_of(record: Mapping[str, Any]) -> str:
    """The record's field names as `has a, b`, for messages."""
    names = [printable(name[:40]) for name in record]
    if not names:
        return "the object is empty"
    return f"has {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"


def document_of_raw(id: str, raw: str) -> Document:
    """The document of an index's stored text: a JSON record's fields, else the text as it is."""
    return Document.from_record(id, record_of(raw))
