"""What a benchmark's TOML may hold: one rule a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...files.toml_tables import Rule, list_of, number, one_of, table, text, truth, whole

TEXTS = list_of(text, "a list of texts")
PERCENT = number(0, 100)
PERCENTS = list_of(PERCENT, "a list of numbers from 0 to 100")


def hexadecimal(digits: int) -> Rule:
    """Rule: a digest of `digits` hexadecimal digits."""

    def rule(value: Any) -> str | None:
        fits = isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value)
        return None if fits else f"{digits} hexadecimal digits"

    return rule


BENCHMARK_RULES: Mapping[str, Rule] = {
    "title": text,
    "dataset": text,
    "own_order": TEXTS,
    "footnotes": TEXTS,
    "tasks": table,
    "defaults": table,
    "first_stages": table,
    "conditions": table,
}
TASK_RULES: Mapping[str, Rule] = {"label": text, "dataset": text}
RUN_RULES: Mapping[str, Rule] = {
    "path": text,
    "sha256": hexadecimal(64),
    "git_blob": hexadecimal(40),
    "size": whole(1),
}
FIRST_STAGE_RULES: Mapping[str, Rule] = {
    "label": text,
    "repository": text,
    "commit": hexadecimal(40),
    "upstream": table,
    "method": one_of("bm25", "bm25q"),
    "query_variant": text,
    "average": PERCENT,
    "average_source": text,
}
CONDITION_RULES: Mapping[str, Rule] = {
    "kind": one_of("reranker", "first-stage", "reference"),
    "label": text,
    "model": text,
    "revision": text,
    "first_stage": text,
    "window": whole(0),
    "step": whole(0),
    "passes": whole(0),
    "depth": whole(1),
    "passage_tokens": whole(1),
    "sampled": truth,
    "qrels_kind": one_of("plain", "fixed"),
    "measure": text,
    "published": PERCENTS,
    "average": PERCENT,
    "source": text,
    "tolerance": PERCENT,
    "average_tolerance": PERCENT,
    "note": text,
}
