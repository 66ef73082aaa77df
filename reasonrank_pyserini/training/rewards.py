"""The multi-view ranking reward of ReasonRank (arXiv 2508.07050, section 4): form first, then nDCG, recall and RBO."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import log2

CUTOFF = 10
"""The cutoff of nDCG and recall."""
_REASONED_ANSWER = re.compile(r"</think>\s*+<answer>")


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each view of a ranking in the reward."""

    ndcg: float = 1.0
    recall: float = 0.2
    rbo: float = 0.1


DEFAULT_WEIGHTS = Weights(ndcg=1.0, recall=0.2, rbo=0.1)


@dataclass(frozen=True, slots=True)
class RewardParts:
    """A reward and its parts.

    `format` is 1.0 for a well-formed ranking, 0.0 for one with the wrong identifiers, -1.0 without the tags;
    unless it is 1.0, `total` equals it and the views are 0.0.
    """

    total: float
    ndcg: float = 0.0
    recall: float = 0.0
    rbo: float = 0.0
    format: float = 1.0


def multi_view_reward(
    completion: str,
    *,
    label: str,
    initial_list: Sequence[str],
    relevant: Iterable[str],
    weights: Weights = DEFAULT_WEIGHTS,
    rbo_p: float = 1.0,
    compat: bool = False,
    opened: bool = False,
) -> float:
    """The total of `reward_parts`."""
    return reward_parts(
        completion,
        label=label,
        initial_list=initial_list,
        relevant=relevant,
        weights=weights,
        rbo_p=rbo_p,
        compat=compat,
        opened=opened,
    ).total


def reward_parts(
    completion: str,
    *,
    label: str,
    initial_list: Sequence[str],
    relevant: Iterable[str],
    weights: Weights = DEFAULT_WEIGHTS,
    rbo_p: float = 1.0,
    compat: bool = False,
    opened: bool = False,
) -> RewardParts:
    """The reward of a completion, by view.

    -1 unless the text holds `<think>..</think>`, white space, `<answer>..</answer>` (tags in lower case, first
    such answer). 0 unless the answer names as many passages as the label, each once, by numbers of this
    list; `03` and other scripts' digits are the number they mean, repetitions in the label are dropped. Else
    nDCG@10 and recall@10 against `relevant` (binary) and the overlap with the label's order, weighted; with
    nothing relevant the first two are 0 and the overlap still counts. Relevant docids outside the list
    count as missed.

    `opened`: the chat template wrote `<think>` in the prompt, so the completion is read as if it began with that tag.
    `compat` is the authors' function (`verl/utils/reward_score/ranking.py`): identifier 0 is the last passage,
    numbers beyond the list count for the form only, the overlap compares digit strings; KeyError with nothing
    relevant, AssertionError when label and answer both repeat an identifier.
    """
    answer = _tagged_answer("<think>" * opened + completion)
    if answer is None:
        return RewardParts(-1.0, format=-1.0)
    wanted = {str(docid) for docid in relevant}
    read = _read_as_authors if compat else _read
    ids = read(_digit_runs(answer), _digit_runs(label), len(initial_list))
    if ids is None:
        return RewardParts(0.0, format=0.0)
    ranked = [str(initial_list[index]) for index in ids.ranking]
    if compat:
        if not wanted:
            raise KeyError("ndcg_cut_10")
        ranked = list(dict.fromkeys(reversed(ranked)))[::-1]
    views = (ndcg(ranked, wanted), recall(ranked, wanted), rank_biased_overlap(ids.answer, ids.label, rbo_p))
    total = weights.ndcg * views[0] + weights.recall * views[1] + weights.rbo * views[2]
    return RewardParts(total, *views)


def ndcg(ranked: Sequence[str], relevant: Iterable[str], cutoff: int = CUTOFF) -> float:
    """Binary nDCG of distinct docids, best first; 0.0 with nothing relevant."""
    wanted = frozenset(relevant)
    ideal = sum(_discount(rank) for rank in range(1, min(len(wanted), cutoff) + 1))
    gained = sum(
        _discount(rank) for rank, docid in enumerate(_distinct(ranked)[:cutoff], 1) if docid in wanted
    )
    return gained / ideal if ideal else 0.0


def recall(ranked: Sequence[str], relevant: Iterable[str], cutoff: int = CUTOFF) -> float:
    """The share of the relevant docids among the first `cutoff`; 0.0 with nothing relevant."""
    wanted = frozenset(relevant)
    return len(wanted.intersection(_distinct(ranked)[:cutoff])) / len(wanted) if wanted else 0.0


def rank_biased_overlap(first: Sequence[object], second: Sequence[object], p: float = 1.0) -> float:
    """The agreement of two rankings of the same length, 0.0 to 1.0; 1.0 when both are empty.

    With p = 1 the average over depths of the shared fraction; with p < 1 the extrapolated RBO (Webber,
    Moffat and Zobel 2010, equation 30). Repeated items raise AssertionError.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}")
    if len(set(first)) != len(first) or len(set(second)) != len(second):
        raise AssertionError("a ranking holds every item once")
    if len(first) != len(second):
        raise ValueError(f"rankings of {len(first)} and {len(second)} items: they must be equally long")
    if not first:
        return 1.0
    shared = list(_shared_fractions(first, second))
    if p == 1:
        return sum(shared) / len(shared)
    summed = sum(fraction * p**depth for depth, fraction in enumerate(shared, 1))
    return shared[-1] * p ** len(shared) + (1 - p) / p * summed


def _shared_fractions(first: Sequence[object], second: Sequence[object]) -> Iterable[float]:
    seen_first: set[object] = set()
    seen_second: set[object] = set()
    overlap = 0
    for depth, (a, b) in enumerate(zip(first, second, strict=True), 1):
        overlap += 1 if a == b else (a in seen_second) + (b in seen_first)
        seen_first.add(a)
        seen_second.add(b)
        yield overlap / depth


def _discount(rank: int) -> float:
    return 1 / log2(rank + 1)


def _distinct(ranked: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ranked))


def _tagged_answer(text: str) -> str | None:
    """The text in the first `<answer>` after the reasoning, as the authors' pattern finds it, in linear time."""
    thinking = text.find("<think>")
    if thinking < 0 or not (opening := _REASONED_ANSWER.search(text, thinking + len("<think>"))):
        return None
    closing = text.find("</answer>", opening.end())
    return text[opening.end() : closing] if closing >= 0 else None


def _digit_runs(text: str) -> list[str]:
    return ["".join(run) for is_digit, run in groupby(text, str.isdigit) if is_digit]


@dataclass(frozen=True, slots=True)
class _Ids:
    """`ranking`: indices into the list; `answer` and `label`: what the overlap compares."""

    ranking: Sequence[int]
    answer: Sequence[object]
    label: Sequence[object]


def _read(answer: Sequence[str], label: Sequence[str], n: int) -> _Ids | None:
    """The identifiers of a well-formed ranking of `n` passages; None for any other."""
    numbers, expected = [[_number(run, n) for run in runs] for runs in (answer, label)]
    expected = list(dict.fromkeys(expected))
    well_formed = len(numbers) == len(set(numbers)) == len(expected) and all(
        1 <= number <= n for number in numbers
    )
    return _Ids([number - 1 for number in numbers], numbers, expected) if well_formed else None


def _number(run: str, n: int) -> int:
    """The number of a run of digits; one beyond the list for anything else, and for numbers of many digits."""
    digits = run.lstrip("0")
    return int(digits or "0") if run.isdecimal() and len(digits) <= 18 else n + 1


def _read_as_authors(answer: Sequence[str], label: Sequence[str], n: int) -> _Ids | None:
    if len(answer) != len(label) or len(set(answer)) != len(set(label)):
        return None
    try:
        indices = [int(run) - 1 for run in answer]
    except ValueError:
        return None
    return _Ids([index for index in indices if index < n], answer, label)
