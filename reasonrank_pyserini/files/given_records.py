"""Ids, texts, scores, documents and queries as Python code hands them over, checked and as plain strings."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

from ..errors import InputError
from ..types import Document, Query, is_missing


def as_given_id(value: object, what: str) -> str:
    """The id as a string, numbers included; InputError, which begins with `what`, for anything else."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number and not isinstance(value, str):
        raise InputError(f"{what} has {_shown(value)} as its id: give a string")
    if not str(value).strip():
        raise InputError(f"{what} has an empty id: give it one")
    return str(value)


def as_given_text(value: object, what: str) -> str:
    """The text as a string, numbers included; InputError, which begins with `what`, for None, NaN and the rest."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Real) and not isinstance(value, bool) and not is_missing(value):
        return str(value)
    advice = "decode it" if isinstance(value, bytes) else "give a string"
    raise InputError(f"{what} has {_shown(value)} as its text: {advice}")


def as_given_score(value: Any, what: str) -> float:
    """The score as a float, None as 0; InputError, which begins with `what`, for anything but a finite number."""
    try:
        score = 0.0 if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{what} has the score {_shown(value)}, which is not a finite number")
    return score


def as_document(document: Document, what: str) -> Document:
    """The document with its fields as strings; a missing title is empty, a missing text an InputError."""
    if (
        type(document.text) is str
        and type(document.title) is str
        and type(document.id) is str
        and document.id
    ):
        return document
    title = "" if is_missing(document.title) else as_given_text(document.title, f"the title of {what}")
    return Document(as_given_id(document.id, what), as_given_text(document.text, what), title)


def as_query(query: object, id: str = "0") -> Query:
    """A Query, or a text with that id, with its fields as strings; InputError for anything else."""
    if not isinstance(query, Query):
        if isinstance(query, str):
            return Query(id, str(query))
        raise InputError(f"the query is {_shown(query)}: give a text or a Query(id, text)")
    if type(query.id) is str and type(query.text) is str and query.id:
        return query
    what = f"query {query.id!r}"
    return replace(query, id=as_given_id(query.id, what), text=as_given_text(query.text, what))


def _shown(value: object) -> str:
    """The value, if it is short to say, else its type."""
    if isinstance(value, Integral | float) or is_missing(value):
        return repr(value)
    name = type(value).__name__
    short = isinstance(value, str) and len(value) <= 40
    return repr(value) if short else f"a{'n' * (name[:1].lower() in 'aeio')} {name}"
