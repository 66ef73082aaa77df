"""Scores for every passage of a group, as JSON: Diver-GroupRank."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...types import ParseStatus
from .answer import Answer, by_score, outside_reasoning

SCALE = 10
"""The highest score; scores are divided by it."""
_ANSWER = re.compile(r"<answer>", re.IGNORECASE)
_CLOSED = re.compile(r"</answer>", re.IGNORECASE)
_PAIR = re.compile(
    r"(?<!\d)\[?[ \t]{0,3}\+?(\d{1,6})[ \t]{0,3}\]?[^\w\n:]{0,8}:\s{0,20}[\"']?([+-]?\d{1,9}(?:\.\d{1,9})?)(?![\w.]*\d)"
)
_FENCE = "```"
_SPACES = re.compile(r"\s*")
_DOUBLE_BRACKET = re.compile(r"(\[\d+\])\]")


def read_group_scores(text: str, n: int, compat: bool = False) -> Answer:
    """Each passage's score from 0 to 1, best first, ties as shown.

    The last complete `<answer>` counts, else what follows the last open one, else the text without its reasoning. Every
    pair of an identifier and a number counts on its own; other identifiers and numbers that are not finite are left
    out, and numbers out of range are taken as the nearest in range (REPAIRED).

    `compat` is the authors' program (`_extract_rerank_output`, `rerank_by_group`): one bad entry gives the whole group
    0, `[0]` is the last passage, a passage scored twice has the mean of its scores.
    """
    return _as_authors(text, n) if compat else _read(text, n)


def _read(text: str, n: int) -> Answer:
    found: dict[int, float] = {}
    clean = True
    for number, value in _PAIR.findall(_answer_of(text)):
        place, score = int(number) - 1, float(value)
        if 0 <= place < n:
            clean = clean and place not in found and 0 <= score <= SCALE
            found[place] = min(max(score, 0), SCALE) / SCALE
        else:
            clean = False
    scores = [found.get(place, math.nan) for place in range(n)]
    complete = clean and len(found) == n
    return (
        by_score(scores, ParseStatus.CLEAN if complete else ParseStatus.REPAIRED)
        if n
        else Answer((), ParseStatus.CLEAN)
    )


def _answer_of(text: str) -> str:
    outside = outside_reasoning(text)
    *_, last = [None, *_ANSWER.finditer(outside)]
    if last is None:
        return outside
    inside = outside[last.end() :]
    closed = _CLOSED.search(inside)
    return inside[: closed.start()] if closed else inside


def _as_authors(text: str, n: int) -> Answer:
    try:
        pairs = [(_authors_place(key, n), score / SCALE) for key, score in authors_scores(text).items()]
    except (ValueError, TypeError, IndexError, AttributeError):
        return Answer(tuple(range(n)), ParseStatus.FAILED, (0.0,) * n)
    means = mean_scores(pairs)
    ranked = [place for place, _ in sorted(means, key=lambda item: item[1], reverse=True)]
    named = dict(means)
    rest = [place for place in range(n) if place not in named]
    status = ParseStatus.REPAIRED if rest else ParseStatus.CLEAN
    return Answer((*ranked, *rest), status, tuple(named.get(place, math.nan) for place in range(n)))


def authors_scores(text: str) -> Mapping[Any, Any]:
    """The JSON that the authors' program reads in an answer; ValueError, TypeError or IndexError for none."""
    closed = _first_answer(text)
    text = text if closed is None else closed.strip()
    found = (_fenced(text) or _objects(text))[-1]
    found = _DOUBLE_BRACKET.sub(r"\1", found.strip())
    if found.count("{") > found.count("}"):
        found += "}"
    return dict(json.loads(re.sub(r"\s+", " ", found).strip()))


def _fenced(text: str) -> list[str]:
    """The matches of the authors' "```json\\s*([\\s\\S]+?)\\s*```", in linear time."""
    found, opening = list[str](), f"{_FENCE}json"
    at = text.find(opening)
    while at >= 0:
        start = at + len(opening)
        spaces = _SPACES.match(text, start)
        begin = spaces.end() if spaces else start
        end = text.find(_FENCE, begin + 1)
        if end >= 0:
            found.append(text[begin:end].rstrip() or text[begin])
        elif begin > start and text.startswith(_FENCE, begin):  # nothing but white space between the fences
            found.append(text[begin - 1])
            end = begin
        else:
            break
        at = text.find(opening, end + len(_FENCE))
    return found


def _objects(text: str) -> list[str]:
    """From each `{` to the first `}` after it, one after the other."""
    found, start = list[str](), text.find("{")
    while start >= 0 and (end := text.find("}", start)) >= 0:
        found.append(text[start : end + 1])
        start = text.find("{", end)
    return found


def _first_answer(text: str) -> str | None:
    """Inside the first `<answer>` that is closed; None without one."""
    start = text.find("<answer>")
    end = text.find("</answer>", start + len("<answer>")) if start >= 0 else -1
    return text[start + len("<answer>") : end] if end >= 0 else None


def _authors_place(key: Any, n: int) -> int:
    """The 0-based place that the authors' program gives a key, which may count from the end; IndexError for none."""
    return range(n)[int(key.strip().strip("[]")) - 1]


def mean_scores(pairs: Sequence[tuple[Any, float]]) -> list[tuple[Any, float]]:
    """The mean score of each passage, in the order of first scoring."""
    found: dict[Any, list[float]] = {}
    for key, score in pairs:
        found.setdefault(key, []).append(score)
    return [(key, sum(scores) / len(scores)) for key, scores in found.items()]
