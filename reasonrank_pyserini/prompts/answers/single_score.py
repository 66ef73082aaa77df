"""One integer score for one passage: Retro* (`<score>`), ERank (`<answer>`)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ...types import ParseStatus
from .answer import Answer, failed, outside_reasoning

_AUTHORS = re.compile(r"<score>\s*(\d+)\s*</score>")
_TAGGED = {tag: re.compile(rf"<{tag}>([^<>]{{0,200}})</{tag}>", re.IGNORECASE) for tag in ("score", "answer")}
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d{1,9}(?:\.\d{1,9})?(?![\w.]*\d)")
_OF = re.compile(r"/\s*\d+\s*$|%|\bout of\s+\d+\s*$")


def read_score(text: str, n: int, compat: bool = False) -> Answer:
    """The score from 0 to 100 in the last `<score>` outside reasoning, of one passage; FAILED without one.

    A decimal, `85%`, `85/100` and `[85]` are read too; two numbers are not. Out of range: the nearest in range.

    `compat` is the authors' program: the first `<score>digits</score>` wherever it stands, and 0 without one.
    """
    if compat:
        return Answer((0,), ParseStatus.CLEAN, (authors_score(text),))
    return _tagged(text, "score", 100)


def read_integer(text: str, n: int, compat: bool = False) -> Answer:
    """The score from 0 to 10 in the last `<answer>` outside reasoning, of one passage; FAILED without one.

    How the authors of ERank read it is not known: `compat` changes nothing.
    """
    return _tagged(text, "answer", 10)


def authors_score(text: str) -> float:
    """The score that the authors of Retro* read: 0 where none can be read."""
    found = _AUTHORS.search(text)
    try:
        return float(int(found[1])) if found else 0.0
    except (ValueError, OverflowError):  # int() takes 4300 digits
        return 0.0


def _tagged(text: str, tag: str, highest: float) -> Answer:
    inside = _TAGGED[tag].findall(outside_reasoning(text))
    numbers = _NUMBER.findall(_OF.sub("", inside[-1])) if inside else []
    if len(numbers) != 1:
        return failed(1)
    score = float(numbers[0])
    status = ParseStatus.CLEAN if 0 <= score <= highest else ParseStatus.REPAIRED
    return Answer((0,), status, (min(max(score, 0.0), highest),))


def mean_of_samples(scores: Sequence[float | None], compat: bool = False) -> float | None:
    """The mean score of several samples; those that could not be read are left out, with `compat` they count as 0."""
    known = [score for score in scores if score is not None]
    if compat:
        return sum(known) / len(scores)
    known = [score for score in known if not math.isnan(score)]
    return sum(known) / len(known) if known else None


def weighted_integer(integer: int, logprob: float) -> float:
    """ERank's score by its paper (section 3.2): the integer times the probability of its token."""
    return integer * math.exp(logprob)
