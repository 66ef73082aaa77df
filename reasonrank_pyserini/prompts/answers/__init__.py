"""How a model's answer is read, by name; each a pure reader of one kind of answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .answer import Answer, Reader
from .authors_orders import read_rankllm, read_rearank, read_ties
from .best_label import read_best_label, read_unreasoned_label
from .group_scores import read_group_scores
from .single_score import read_integer, read_score

JudgeKind = Literal["listwise", "groupwise", "setwise", "pointwise"]

READERS: Mapping[str, Reader] = {
    "permutation-ties": read_ties,
    "permutation-rearank": read_rearank,
    "permutation-rankllm": read_rankllm,
    "group-scores": read_group_scores,
    "score": read_score,
    "integer": read_integer,
    "best-label": read_best_label,
    "best-label-unreasoned": read_unreasoned_label,
}
"""Readers of a text; `permutation` (`permutation.parse`) and `true-false` (token probabilities) are not among them."""
KINDS: Mapping[str, JudgeKind] = {
    "permutation": "listwise",
    **{name: "listwise" for name in READERS if name.startswith("permutation-")},
    "group-scores": "groupwise",
    "best-label": "setwise",
    "best-label-unreasoned": "setwise",
    "score": "pointwise",
    "integer": "pointwise",
    "true-false": "pointwise",
}
"""What kind of judge an answer needs: how many passages it shows and what it says about them."""

__all__ = ["KINDS", "READERS", "Answer", "JudgeKind", "Reader"]
