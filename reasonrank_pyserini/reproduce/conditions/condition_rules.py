"""What a benchmark's TOML may hold: one rule a key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Fail = Callable[[str, str], Exception]
"""Makes the error for a key: (key, problem) -> exception with the key's place in the file."""
Rule = Callable[[Any], str | None]
"""What a value must be, in words, when it is not; None when it is fine."""

_KINDS = ("reranker", "first-stage", "reference")


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a text in quotes"


def _texts(value: Any) -> str | None:
    return None if isinstance(value, list) and not any(map(_text, value)) else "a list of texts"


def _table(value: Any) -> str | None:
    return None if isinstance(value, dict) else "a table"


def _truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _one_of(*names: str) -> Rule:
    return lambda value: None if value in names else f"one of {', '.join(names)}"


def _count(low: int) -> Rule:
    return lambda value: None if type(value) is int and value >= low else f"a whole number from {low} up"


def _percent(value: Any) -> str | None:
    fits = type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 100
    return None if fits else "a number from 0 to 100"


def _percents(value: Any) -> str | None:
    fits = isinstance(value, list) and not any(map(_percent, value))
    return None if fits else "a list of numbers from 0 to 100"


def _digest(value: Any) -> str | None:
    fits = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)
    return None if fits else "64 hexadecimal digits"


BENCHMARK_RULES: Mapping[str, Rule] = {
    "title": _text,
    "dataset": _text,
    "own_order": _texts,
    "footnotes": _texts,
    "tasks": _table,
    "defaults": _table,
    "first_stages": _table,
    "conditions": _table,
}
TASK_RULES: Mapping[str, Rule] = {"label": _text, "dataset": _text}
RUN_RULES: Mapping[str, Rule] = {"path": _text, "sha256": _digest, "size": _count(1)}
FIRST_STAGE_RULES: Mapping[str, Rule] = {
    "label": _text,
    "upstream": _table,
    "method": _one_of("bm25", "bm25q"),
    "query_variant": _text,
}
CONDITION_RULES: Mapping[str, Rule] = {
    "kind": _one_of(*_KINDS),
    "label": _text,
    "model": _text,
    "revision": _text,
    "first_stage": _text,
    "window": _count(0),
    "step": _count(0),
    "passes": _count(0),
    "depth": _count(1),
    "passage_tokens": _count(1),
    "sampled": _truth,
    "qrels_kind": _one_of("plain", "fixed"),
    "measure": _text,
    "published": _percents,
    "average": _percent,
    "source": _text,
    "tolerance": _percent,
    "average_tolerance": _percent,
    "note": _text,
}


def checked(
    record: Any, rules: Mapping[str, Rule], fail: Fail, *, within: str, needs: Iterable[str] = ()
) -> dict[str, Any]:
    """The record with every key known, every value fitting and all of `needs` there; raises `fail(...)`."""
    if not isinstance(record, dict):
        raise fail(within, f"{within} is {record!r}: it must be a table")
    for key, value in record.items():
        if key not in rules:
            close = difflib.get_close_matches(key, list(rules), n=1, cutoff=0.5)
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise fail(key, f"{within}: unknown key {key!r}{hint}; known: {', '.join(rules)}")
        expected = rules[key](value)
        if expected is not None:
            raise fail(key, f"{within}: {key} is {value!r}: it must be {expected}")
    for key in needs:
        if key not in record:
            raise fail(within, f"{within}: {key} is missing")
    return dict(record)
