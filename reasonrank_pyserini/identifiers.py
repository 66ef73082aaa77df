"""The identifiers of passages in an answer, however it is written down."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from unicodedata import decimal

BRACKETED = re.compile(r"[\[［【]\s*+([^\W_]++(?:\s*+[,;、，]\s*+[^\W_]++)*)\s*+\\?[\]］】]")
"""One identifier in brackets, or several: `[3]`, `[3, 1]`."""
_LABELLED = re.compile(
    r"\b(?:doc(?:ument)?|passage|text|candidate|psg|pid|identifier|id|index)s?[ \t_-]?(?:id|number|index|no\.?)?"
    r"[ \t:=#\"'*]{0,4}(\d++)",
    re.IGNORECASE,
)
_SCORE = re.compile(r"(?<![\d./])(?:\d++\.\d++|\d++/\d++|\d++[ \t]?%)(?![\d./])")
_RANK = re.compile(
    r"[\s|#*>(_-]{0,8}(?:(?:rank|place|position|top|no\.?)[ \t]?)?#?(\d{1,4})(?:st|nd|rd|th)?"
    r"[*_]{0,3} {0,4}(?:([.):|=→-])[*_]{0,3}(?=\D)|([,\t]))",
    re.IGNORECASE,
)
_IDENTIFIER = (
    r"(?:(?:passage|doc(?:ument)?)[ \t]?)?[\[［【*`\"'#({\\]{0,4}[ \t]?+\d{1,9}[ \t]?+[\]］】*`\"')}\\]{0,4}"
)
_CHAIN = re.compile(
    rf"{_IDENTIFIER}(?:\s*+(?:>|&gt;|＞|≻|→|\\succ|=|,|;|、|，)++\s*+{_IDENTIFIER})+", re.IGNORECASE
)
_RANGE = re.compile(
    r"[\[［【]?(?<!\d)(\d{1,6})[\]］】]?[ \t]?(?:-|–|—|~|\.\.\.?|…|to|through)[ \t]?[\[［【]?(\d{1,6})(?!\d)[\]］】]?"
)
_PAIR = re.compile(r"[\"'](\w{1,40})[\"'][ \t]{0,4}:[ \t]{0,4}[\"']?\[?(\d{1,9})(?![\d.])")
_ORDERING = ("rank", "position", "order", "place")
_MOST_RANGE = 1000


def identifiers(text: str, n: int, count: int | None = None) -> list[str | None]:
    """The identifiers of an answer in order; None for a number that cannot be one, and for other text around them.

    Those in brackets where they name passages, with numbers that stand alone between `>` signs; else those after
    a word such as `Passage`; else every run of digits but scores and the numbers of a list. Where this does not name
    `count` (or all) of the `n` passages once each, but another reading does, that one: a chain `[2] > [1] > [3]` among
    sentences, ranges, the items of a list or table, the fields of JSON, a paragraph alone.
    """
    wanted = min(n, n if count is None else count)
    if found := _fields(text, n, wanted):
        return found
    if wanted < n and not BRACKETED.search(text) and (found := _last_chain(text, n, wanted)):
        return found
    usual = _usual(text, n)
    if is_complete(usual, n, wanted):
        return usual
    readings: tuple[Callable[[str, int, int], list[str | None]], ...] = (
        _list_items, _last_chain, _ranges, _paragraph,
    )  # fmt: skip
    for reading in readings:
        found = reading(text, n, wanted)
        if is_complete([run for run in found if run is not None], n, wanted):
            return found
    return _list_items(text, n, 2, partial=True) or usual


def is_complete(runs: Iterable[str | None], n: int, wanted: int) -> bool:
    """Whether the identifiers name at least `wanted` of `n` passages, each once, and nothing else."""
    places = [place(run, n) if run is not None else -1 for run in runs]
    return len(places) >= wanted and len(set(places)) == len(places) and all(0 <= at < n for at in places)


def place(number: str, n: int) -> int:
    """The 0-based index of a number; any index outside the window for one that is too large or cannot be read."""
    if not number.isdecimal():
        return -1
    if len(number) <= 18:
        return int(number) - 1
    value = 0
    for digit in number:  # int() is quadratic and may refuse long numbers
        value = min(10 * value + decimal(digit), n + 1)
    return value - 1


def digit_runs(text: str) -> list[str]:
    """Every run of digits, in the wide sense of `str.isdigit`."""
    return ["".join(run) for is_digit, run in groupby(text, str.isdigit) if is_digit]


def _usual(text: str, n: int) -> list[str | None]:
    bracketed = _bracketed(text)
    runs = digit_runs(text)
    if len(bracketed) < len(runs) and any(0 <= place(run, n) < n for run in bracketed):
        alone = [found for part in text.split(">") for found in _in_brackets_or_alone(part)]
        return [*map(_decimal, alone), *([None] if any(map(str.isalpha, text)) else [])]
    if labelled := _LABELLED.findall(text):
        return list(map(_decimal, labelled))
    return list(map(_decimal, digit_runs(_SCORE.sub(" ", text)) or runs))


def _bracketed(text: str) -> list[str]:
    parts = (part.strip() for found in BRACKETED.findall(text) for part in re.split("[,;、，]", found))
    return [part for part in parts if part.isdigit()]


def _in_brackets_or_alone(part: str) -> list[str]:
    """The identifiers between two `>`: those in brackets, or the number if there is nothing else."""
    return [part.strip()] if part.strip().isdigit() else _bracketed(part)


def _decimal(run: str) -> str | None:
    return run if run.isdecimal() else None


def _fields(text: str, n: int, wanted: int) -> list[str | None]:
    """The values of the JSON field that names every passage; by the field `rank` where there is one."""
    fields: dict[str, list[str]] = {}
    for name, value in _PAIR.findall(text):
        fields.setdefault(name.lower(), []).append(value)
    ranks = next((fields.pop(name) for name in _ORDERING if name in fields), [])
    found = next((values for values in fields.values() if is_complete(values, n, wanted)), [])
    if len(ranks) == len(found) and sorted(map(int, ranks)) == list(range(1, len(ranks) + 1)):
        found = [value for _, value in sorted(zip(map(int, ranks), found, strict=True))]
    return list(found)


def _list_items(text: str, n: int, wanted: int, *, partial: bool = False) -> list[str | None]:
    """The first number of each item in a list or table numbered from 1; `partial`: only with unmistakable numbers."""
    lines = [line for line in text.splitlines() if any(map(str.isdigit, line))]
    marks = [_RANK.match(line) for line in lines]
    numbers = [int(mark[1]) if mark else 0 for mark in marks]
    if len(lines) < 2 or numbers != list(range(1, len(lines) + 1)):
        return []
    if partial and any(mark and (mark[3] or mark[2] in "=-") for mark in marks):
        return []
    rests = [line[mark.end() :] for line, mark in zip(lines, marks, strict=True) if mark]
    items = [
        (_bracketed(rest) or _LABELLED.findall(rest) or digit_runs(_SCORE.sub(" ", rest)))[:1]
        for rest in rests
    ]
    found = [run for item in items for run in item]
    if partial and not (len(found) == len(lines) and is_complete(found, n, wanted)):
        every = [run for rest in rests for run in digit_runs(rest)]
        return list(map(_decimal, every)) if all(map(digit_runs, rests)) else []
    return list(map(_decimal, found))


def _last_chain(text: str, n: int, wanted: int) -> list[str | None]:
    """The last chain of identifiers that names every passage, where there are words around it."""
    if not any(map(str.isalpha, text)):
        return []
    chains = [re.findall(r"\d+", chain[0]) for chain in _CHAIN.finditer(text)]
    found = next((chain for chain in reversed(chains) if is_complete(chain, n, wanted)), None)
    return [*found, None] if found else []


def _ranges(text: str, n: int, wanted: int) -> list[str | None]:
    """The usual reading with `[4]-[9]` written out."""

    def expanded(span: re.Match[str]) -> str:
        first, last = int(span[1]), int(span[2])
        if not 1 <= first < last <= min(n, first + _MOST_RANGE):
            return span[0]
        return ", ".join(f"[{number}]" for number in range(first, last + 1))

    return _usual(_RANGE.sub(expanded, text), n)


def _paragraph(text: str, n: int, wanted: int) -> list[str | None]:
    """The last paragraph that names every passage, where other paragraphs name some as well."""
    paragraphs = re.split(r"\n[ \t]*\n", text)
    if len(paragraphs) == 1:
        return []
    for part in reversed(paragraphs[-20:]):
        for found in (_usual(part, n), _list_items(part, n, wanted)):
            if is_complete([run for run in found if run is not None], n, wanted):
                return [*found, None]
    return []
