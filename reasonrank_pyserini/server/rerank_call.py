"""A rerank request read from its JSON object: the formats of Cohere, Jina and TEI as one record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..types import TEXT_FIELDS, Document
from .refusal import Refusal
from .server_settings import ServerLimits

LONGEST = 1e9
"""Longer deadlines, in seconds, are this one: the server's own limit is far below."""


KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
"""JSON values in words."""


class Shape(StrEnum):
    """The API that a request follows, and its reply too."""

    COHERE = "cohere"
    """Cohere v2: the reply contains documents only on request."""
    JINA = "jina"
    """Jina, vLLM and Cohere v1: the reply contains documents unless `return_documents` is false."""
    TEI = "tei"
    """Hugging Face's text-embeddings-inference: the request has `texts`, the reply is a list of all of them."""


@dataclass(frozen=True, slots=True)
class RerankCall:
    """A rerank request. Documents are in the caller's order; their ids are their positions, from 0.

    `returned`: each document as the reply contains it; None for a reply without documents. `top_n`: the number of
    results, at most the number of documents. `deadline`: in seconds, None for the server's default.
    """

    shape: Shape
    query: str
    documents: tuple[Document, ...]
    returned: tuple[Mapping[str, str], ...] | None
    top_n: int
    reasoning: bool = False
    deadline: float | None = None


def read_call(fields: Mapping[str, Any], shape: Shape, limits: ServerLimits) -> RerankCall:
    """The call in a request's fields. Unknown fields are ignored; null is the same as absent.

    Raises Refusal: 400 for a value that cannot be used, 413 for a request over a limit.
    """
    query = _query(fields, limits)
    tei = shape is Shape.TEI
    given = _listed(fields, "texts" if tei else "documents", limits)
    if tei:
        documents = tuple(Document(str(i), _text(item, f"texts[{i}]")) for i, item in enumerate(given))
    else:
        names = _rank_fields(fields)
        documents = tuple(_document(item, i, names) for i, item in enumerate(given))
    _check_characters(query, documents, limits)
    wanted = _flag(fields, "return_text" if tei else "return_documents", default=shape is Shape.JINA)
    returned = tuple(map(_returned, given, documents)) if wanted else None
    return RerankCall(
        shape, query, documents, returned,
        top_n=len(documents) if tei else _top_n(fields, len(documents)),
        reasoning=_flag(fields, "reasoning", default=False),
        deadline=read_seconds(fields.get("deadline"), "deadline"),
    )  # fmt: skip


def shape_of(fields: Mapping[str, Any], path: str) -> Shape:
    """The shape of a request to `path`; at /rerank, `texts` distinguishes TEI's clients from Jina's."""
    if path == "/v2/rerank":
        return Shape.COHERE
    tei = path == "/rerank" and fields.get("texts") is not None and fields.get("documents") is None
    return Shape.TEI if tei else Shape.JINA


def read_seconds(value: object, name: str) -> float | None:
    """A number of seconds above 0, None for None; Refusal for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise Refusal(400, f"{name} must be a number of seconds above 0")
    return float(min(value, LONGEST))


def _query(fields: Mapping[str, Any], limits: ServerLimits) -> str:
    query = fields.get("query")
    if not isinstance(query, str):
        raise Refusal(400, f"query is {_kind(query)}: give a text")
    if not query.strip():
        raise Refusal(400, "query is empty: give the text that the documents are ranked for")
    if len(query) > (most := limits.query_characters):
        raise Refusal(413, f"query has {len(query)} characters: the limit of this server is {most}")
    return query


def _listed(fields: Mapping[str, Any], name: str, limits: ServerLimits) -> Sequence[Any]:
    given = fields.get(name)
    if given is None and name == "documents" and fields.get("texts") is not None:
        raise Refusal(400, "documents are missing: `texts` is for /rerank")
    if not isinstance(given, list):
        raise Refusal(400, f"{name} is {_kind(given)}: give a list of texts")
    if len(given) > limits.documents:
        raise Refusal(413, f"{len(given)} {name}: the limit of this server is {limits.documents}")
    return given


def _document(item: Any, position: int, names: Sequence[str]) -> Document:
    where, id = f"documents[{position}]", str(position)
    if not isinstance(item, Mapping):
        return Document(id, _text(item, where))
    if lines := [f"{name}: {item[name]}" for name in names if isinstance(item.get(name), str)]:
        return Document(id, "\n".join(lines))
    if not any(isinstance(item.get(name), str) for name in TEXT_FIELDS):
        raise Refusal(
            400, f"{where} is an object without a text: give it as `text`, or name its fields in rank_fields"
        )
    return Document.from_record(id, {name: text for name, text in item.items() if isinstance(text, str)})


def _text(item: Any, where: str) -> str:
    if not isinstance(item, str):
        raise Refusal(400, f"{where} is {_kind(item)}: give a text")
    return item


def _returned(item: Any, document: Document) -> Mapping[str, str]:
    """A document as the reply gives it back: its `text`, and the texts of an object's other fields."""
    own = (
        {name: text for name, text in item.items() if isinstance(text, str)}
        if isinstance(item, Mapping)
        else {}
    )
    return {"text": document.text, **own}


def _rank_fields(fields: Mapping[str, Any]) -> Sequence[str]:
    names = fields.get("rank_fields")
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(400, "rank_fields must be a list of field names")
    return names


def _check_characters(query: str, documents: Sequence[Document], limits: ServerLimits) -> None:
    size = len(query) + sum(len(document.text) + len(document.title) for document in documents)
    if size > limits.characters:
        raise Refusal(
            413,
            f"query and documents have {size} characters: the limit of this server is {limits.characters}",
        )


def _top_n(fields: Mapping[str, Any], count: int) -> int:
    """How many results: null, 0 and more than there are mean all."""
    value = fields.get("top_n")
    if value is None:
        return count
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise Refusal(400, "top_n must be a whole number, 0 or more (0: all)")
    return min(int(value), count) or count


def _flag(fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """True or false; the texts "true" and "false" too, which RAGFlow's provider Xinference sends."""
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value, value)
    if not isinstance(value, bool):
        raise Refusal(400, f"{name} is {_kind(value)}: give true or false")
    return value


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "missing or null"
    return KINDS.get(type(value), "of an unknown kind")
