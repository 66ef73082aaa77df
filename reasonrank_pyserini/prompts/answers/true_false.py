"""True against false, by the probabilities of the last token: Rank1."""

from __future__ import annotations

import math
from collections.abc import Mapping

CLOSING = "\n</think>"
_ENDS = ".!?"
_CLOSED = "</think>"


def true_probability(logprobs: Mapping[int, float] | None, true: int, false: int) -> float | None:
    """p(true) / (p(true) + p(false)); None where one of the two ids is missing or both are impossible.

    The authors' program divides by zero in the last case and loses the whole batch.
    """
    if logprobs is None or true not in logprobs or false not in logprobs:
        return None
    yes, no = logprobs[true], logprobs[false]
    if yes == no == -math.inf:
        return None
    if math.isnan(yes) or math.isnan(no):
        return math.nan
    difference = no - yes
    return 1 / (1 + math.exp(difference)) if difference < 700 else math.exp(-difference)


def forced_ending(text: str, compat: bool = False) -> str:
    """What follows the prompt in the second request, which asks only for true or false.

    Reasoning that ended with `</think>` is kept whole; else it is cut after its last full stop, exclamation or question
    mark. `compat` always cuts there, as the authors' program does (`_fix_incomplete_responses`).
    """
    if not compat and _CLOSED in text:
        return "\n" + text.partition(_CLOSED)[0].strip() + CLOSING
    kept = text.rstrip()
    if not kept.endswith(tuple(_ENDS)):
        end = max(kept.rfind(mark) for mark in _ENDS) + 1
        kept = kept[:end] if end else kept
    return "\n" + kept.strip() + CLOSING
