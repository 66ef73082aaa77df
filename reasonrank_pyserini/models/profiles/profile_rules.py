"""What a profile's TOML may hold: one rule a key."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Fail = Callable[[str, str], Exception]
"""Makes the error for a key: (key, problem) -> exception with the key's place in the file."""
Rule = Callable[[Any], str | None]
"""What a value must be, in words, when it is not; None when it is fine."""

DTYPES = ("auto", "bfloat16", "float16", "float32")


def _integer(low: int, high: int = 2**53) -> Rule:
    words = f"a whole number from {low}" + (f" to {high}" if high < 2**53 else " up")
    return lambda value: None if type(value) is int and low <= value <= high else words


def _number(low: float, high: float, *, open_low: bool = False) -> Rule:
    words = f"a number from {low:g} to {high:g}" + (f", not {low:g}" if open_low else "")

    def rule(value: Any) -> str | None:
        fits = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
        return None if fits and not (open_low and value == low) else words

    return rule


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a text in quotes"


def _texts(value: Any) -> str | None:
    fits = isinstance(value, list) and all(isinstance(item, str) and item.strip("*?") for item in value)
    return None if fits else 'a list of name patterns such as ["my-model*"]'


def _table(value: Any) -> str | None:
    return None if isinstance(value, dict) else "a table [size]"


def _dtype(value: Any) -> str | None:
    return None if isinstance(value, str) and value in DTYPES else f"one of {', '.join(DTYPES)}"


PROFILE_RULES: Mapping[str, Rule] = {
    "name": _text,
    "extends": _text,
    "match": _texts,
    "style": _text,
    "window": _integer(2, 1000),
    "step": _integer(1, 1000),
    "passes": _integer(1, 100),
    "passage_tokens": _integer(1),
    "reasoning_tokens": _integer(0),
    "answer_tokens": _integer(1),
    "temperature": _number(0, 2),
    "top_p": _number(0, 1, open_low=True),
    "top_k": _integer(0),
    "min_p": _number(0, 1),
    "context": _integer(64),
    "dtype": _dtype,
    "size": _table,
}
SIZE_RULES: Mapping[str, Rule] = {
    name: _integer(1)
    for name in ("parameters", "weights_bytes", "hidden_size", "layers", "kv_heads", "head_dim")
}


def checked(record: Mapping[str, Any], rules: Mapping[str, Rule], fail: Fail) -> dict[str, Any]:
    """The record, lists as tuples and fractions as floats; raises `fail(...)` for what no rule takes."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        if key not in rules:
            raise fail(key, f"unknown key {key!r}{nearest(key, rules)}; known: {', '.join(rules)}")
        expected = rules[key](value)
        if expected is not None:
            raise fail(key, f"{key} is {value!r}: it must be {expected}")
        values[key] = tuple(value) if isinstance(value, list) else value
    for key in {"temperature", "top_p", "min_p"} & values.keys():
        values[key] = float(values[key])
    return values


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean 'window'?` for a name close to a known one, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f": did you mean {close[0]!r}?" if close else ""
