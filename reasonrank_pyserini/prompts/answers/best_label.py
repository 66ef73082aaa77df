"""The label of the best passage: Rank-R1."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

from ...identifiers import identifiers, place
from ...permutation import AnswerTags
from ...types import ParseStatus
from .answer import Answer, failed

_REASONED = re.compile(r"</think>\s*+<answer>")


def read_best_label(text: str, n: int, compat: bool = False) -> Answer:
    """The passage named first in the last `<answer>` outside reasoning is the best; the others follow as shown.

    `compat` is the authors' program: exactly one label, after `<think>..</think> <answer>`, in the first such answer.
    """
    return _as_authors(text, n, reasoned=True) if compat else _read(text, n)


def read_unreasoned_label(text: str, n: int, compat: bool = False) -> Answer:
    """`read_best_label` for a prompt that asks for no reasoning."""
    return _as_authors(text, n, reasoned=False) if compat else _read(text, n)


def vote(best: Sequence[int | None], stream: random.Random) -> int | None:
    """The passage named most often; `stream` decides a tie; None where nobody named one."""
    counts = Counter(found for found in best if found is not None)
    if not counts:
        return None
    most = max(counts.values())
    tied = [found for found, count in counts.items() if count == most]
    return tied[0] if len(tied) == 1 else stream.choice(tied)


def _read(text: str, n: int) -> Answer:
    scan, status = AnswerTags(text), ParseStatus.CLEAN
    answer = scan.complete
    if answer is None and scan.unclosed is not None and not scan.reasoning:
        answer, status = text[slice(*scan.unclosed)], ParseStatus.REPAIRED
    if answer is None:
        return failed(n)
    named = [run for run in identifiers(answer, n, 1) if run is not None]
    places = [at for at in (place(run, n) for run in named) if 0 <= at < n]
    if not places:
        return failed(n)
    return _first(places[0], n, status if len(named) == 1 else ParseStatus.REPAIRED)


def _as_authors(text: str, n: int, *, reasoned: bool) -> Answer:
    """By searching for the parts of the authors' pattern in turn, which takes linear time."""
    lowered = text.lower()
    start = lowered.find("<think>") if reasoned else lowered.find("<answer>")
    if start < 0:
        return failed(n)
    opened = _REASONED.search(lowered, start) if reasoned else None
    if reasoned and opened is None:
        return failed(n)
    begin = opened.end() if opened else start + len("<answer>")
    end = lowered.find("</answer>", begin)
    label = lowered[begin:end].strip() if end >= 0 else ""
    labels = [f"[{number}]" for number in range(1, n + 1)]
    return _first(labels.index(label), n, ParseStatus.CLEAN) if label in labels else failed(n)


def _first(best: int, n: int, status: ParseStatus) -> Answer:
    return Answer((best, *(at for at in range(n) if at != best)), status)
