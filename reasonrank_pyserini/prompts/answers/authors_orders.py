"""Permutations exactly as the programs of Rank-K, Rearank and RankLLM read them; `permutation.parse` is the default."""

from __future__ import annotations

from collections.abc import Iterable

from ...identifiers import digit_runs
from ...permutation import parse
from ...types import AnswerForm, ParseStatus
from .answer import Answer

_MOST_DIGITS = 4300
_DIGITS = str.maketrans(
    "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉①②③④⑤⑥⑦⑧⑨❶❷❸❹❺❻❼❽❾０１２３４５６７８９🄀🄁🄂🄃🄄🄅🄆🄇🄈🄉",
    "0123456789012345678912345678912345678901234567890123456789",
)
"""The digits that RankLLM takes for ordinary ones."""


def read_ties(text: str, n: int, compat: bool = False) -> Answer:
    """A permutation that may hold `=`: tied passages in the order of the answer.

    `compat` is Rank-K's program: the last line only, up to the first repeat; `[0]` is the last passage.
    """
    return _ordered(tied_scores(text, n), n) if compat else _parsed(text, n, "bare")


def read_rearank(text: str, n: int, compat: bool = False) -> Answer:
    """A tagged permutation; `compat` is Rearank's program: the first closed `<answer>`, else every digit."""
    if not compat:
        return _parsed(text, n, "tagged")
    if "<answer>" in text:
        begin = text.find("<answer>") + len("<answer>")
        end = text.find("</answer>", begin)
        text = (text[begin:end] if end >= 0 else text).strip()
    if "<think>" in text:
        text = text.rpartition("</think>")[2]
    runs = [run for run in digit_runs(text) if run.isdecimal() and len(run) <= _MOST_DIGITS]
    return _ordered((int(run) - 1 for run in runs), n)


def read_rankllm(text: str, n: int, compat: bool = False) -> Answer:
    """A bare permutation; `compat` is RankLLM's program: every digit after `</think>`, one bad number voids all."""
    if not compat:
        return _parsed(text, n, "bare")
    runs = digit_runs(text.rpartition("</think>")[2].translate(_DIGITS))
    if not all(run.isdecimal() and len(run) <= _MOST_DIGITS for run in runs):
        return _ordered((), n)
    return _ordered((int(run) - 1 for run in runs), n)


def tied_scores(text: str, n: int) -> dict[int, float]:
    """What Rank-K's program reads: places with 1 / rank, ties with the same, up to the first repeat."""
    found: dict[int, float] = {}
    for rank, tied in enumerate(text.strip().split("\n")[-1].split(">"), 1):
        for piece in tied.split("="):
            try:
                place = range(n)[int(piece.strip().replace("[", "").replace("]", "")) - 1]
            except (ValueError, IndexError):
                continue
            if place in found:
                return found
            found[place] = 1 / rank
    return found


def _parsed(text: str, n: int, form: AnswerForm) -> Answer:
    parsed = parse(text, n, answer=form)
    return Answer(parsed.order, parsed.status)


def _ordered(places: Iterable[int], n: int) -> Answer:
    asked = list(places)
    named = [place for place in dict.fromkeys(asked) if 0 <= place < n]
    order = (*named, *(place for place in range(n) if place not in named))
    if not named:
        return Answer(order, ParseStatus.FAILED if n else ParseStatus.CLEAN)
    return Answer(order, ParseStatus.CLEAN if len(named) == n == len(asked) else ParseStatus.REPAIRED)
