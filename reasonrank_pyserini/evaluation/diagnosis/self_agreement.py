"""Agreement with itself: passages of one query that were shown together in several windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations, pairwise

from .counted_mean import CountedMean, Tally
from .judged_windows import JudgedWindow


@dataclass(frozen=True, slots=True)
class SelfAgreement:
    """Two windows that judged the same pair of passages: shares of such repeats.

    `same`: both put the pair in the same order (chance: 0.5). `shown_alike`, `shown_turned`: the same share where the
    two windows showed the pair in the same order, and in opposite orders. Of the latter, the passage shown first won
    both times in the share `first_won`, the one shown last in `last_won`. `relevant`, `relevant_turned`: `same` and
    `shown_turned` of pairs of a relevant passage and another one, empty without judgements.

    `following`: a window showed the pair in the order that the last one gave it. Where that is usual, as in sliding
    windows, keeping the order shown looks like agreement.
    """

    same: CountedMean
    shown_alike: CountedMean
    shown_turned: CountedMean
    first_won: CountedMean
    last_won: CountedMean
    relevant: CountedMean
    relevant_turned: CountedMean
    following: CountedMean


@dataclass(frozen=True, slots=True)
class _PairJudged:
    """One judgement of a pair of docids, which are sorted: whether the smaller was shown first, and whether it won."""

    shown_first: bool
    won: bool


def self_agreement(
    windows: Mapping[str, Sequence[JudgedWindow]], relevant: Mapping[str, frozenset[str]]
) -> SelfAgreement:
    """The agreement of windows by query, each query's in the order in which they were judged.

    `relevant`: the relevant docids of every query with judgements.
    """
    tally = Tally()
    for query_id, judged in windows.items():
        wanted = relevant.get(query_id, frozenset())
        for (one, other), repeats in _by_pair(judged).items():
            matters = (one in wanted) != (other in wanted)
            for earlier, later in combinations(repeats, 2):
                _add(tally, query_id, earlier, later, matters)
            for earlier, later in pairwise(repeats):
                tally.add("following", query_id, later.shown_first == earlier.won)
    return SelfAgreement(**{field.name: tally.mean(field.name) for field in fields(SelfAgreement)})


def _by_pair(windows: Iterable[JudgedWindow]) -> dict[tuple[str, str], list[_PairJudged]]:
    found: dict[tuple[str, str], list[_PairJudged]] = {}
    for window in windows:
        for first, second, kept in window.pairs():
            one, other = window.shown[first], window.shown[second]
            smaller_first = one < other
            pair = (one, other) if smaller_first else (other, one)
            found.setdefault(pair, []).append(_JUDGED[smaller_first, kept])
    return found


_JUDGED = {
    (shown_first, kept): _PairJudged(shown_first, kept == shown_first)
    for shown_first in (False, True)
    for kept in (False, True)
}


def _add(tally: Tally, query_id: str, earlier: _PairJudged, later: _PairJudged, matters: bool) -> None:
    same, turned = earlier.won == later.won, earlier.shown_first != later.shown_first
    tally.add("same", query_id, same)
    tally.add("shown_turned" if turned else "shown_alike", query_id, same)
    if turned:
        tally.add("first_won", query_id, not same and earlier.won == earlier.shown_first)
        tally.add("last_won", query_id, not same and earlier.won != earlier.shown_first)
    if matters:
        tally.add("relevant", query_id, same)
    if matters and turned:
        tally.add("relevant_turned", query_id, same)
