"""Answer: what a reader finds in a model's text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...types import ParseStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """The order of the passages shown, 0-based and best first, how it was read, and scores in shown order if any.

    A passage without a score has NaN; where nothing could be read `scores` is None and the order is as shown.
    """

    order: tuple[int, ...]
    status: ParseStatus
    scores: tuple[float, ...] | None = None

    @property
    def unscored(self) -> int:
        """How many passages have no score, where the answer should give each one."""
        return len(self.order) if self.scores is None else sum(map(math.isnan, self.scores))


_REASONING = re.compile(r"<(/?)(think|reason)>", re.IGNORECASE | re.ASCII)

Reader = Callable[[str, int, bool], Answer]
"""Reads a text about `n` passages; the last argument is `compat`: exactly as the authors' program does."""


def outside_reasoning(text: str) -> str:
    """The text without `<think>..</think>` and `<reason>..</reason>`, unfinished ones included, in linear time.

    Where the first of these tags closes, everything before it is reasoning that the chat template opened.
    """
    kept, start, opened, first = list[str](), 0, "", True
    for tag in _REASONING.finditer(text):
        closing, name = bool(tag[1]), tag[2].lower()
        if not opened and not closing:
            kept.append(text[start : tag.start()])
            opened = name
        elif closing and (name == opened or first):
            opened, start = "", tag.end()
        first = False
    return " ".join(kept if opened else [*kept, text[start:]])


def failed(n: int) -> Answer:
    """The answer where nothing could be read."""
    return Answer(tuple(range(n)), ParseStatus.FAILED)


def by_score(scores: Sequence[float], status: ParseStatus) -> Answer:
    """Passages by descending score, ties as shown, those without a score (NaN) last; FAILED where none has one."""
    if all(map(math.isnan, scores)):
        return failed(len(scores))
    order = sorted(range(len(scores)), key=lambda at: math.inf if math.isnan(scores[at]) else -scores[at])
    known = [at for at in order if not math.isnan(scores[at])]
    return Answer((*known, *(at for at in order if math.isnan(scores[at]))), status, tuple(scores))
