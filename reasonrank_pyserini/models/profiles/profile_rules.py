"""The keys of a profile's TOML and the rules for their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...files.toml_tables import Rule, list_of, number, one_of, table, text, truth, whole


def _pattern(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip("*?") else "a name pattern"


PROFILE_RULES: Mapping[str, Rule] = {
    "name": text,
    "extends": text,
    "match": list_of(_pattern, 'a list of name patterns such as ["my-model*"]'),
    "style": text,
    "window": whole(2, 1000),
    "step": whole(1, 1000),
    "passes": whole(1, 100),
    "passage_tokens": whole(1),
    "own_passage_tokens": truth,
    "reasoning_tokens": whole(0),
    "answer_tokens": whole(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1, above=True),
    "top_k": whole(0),
    "min_p": number(0, 1),
    "context": whole(64),
    "dtype": one_of("auto", "bfloat16", "float16", "float32"),
    "size": table,
    "strategy": text,
    "strategy_args": table,
    "judge": table,
    "published": list_of(table, "a list of tables ([[published]])"),
}
SIZE_RULES: Mapping[str, Rule] = {
    name: whole(1)
    for name in ("parameters", "weights_bytes", "hidden_size", "layers", "kv_heads", "head_dim")
}
