"""The outcome of each source: a record that is kept, or the reason why not; and a histogram of consistency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ...types import Completion, Document
from ..list_records import Record
from ..rewards import ndcg
from .sources import Source

MIN_NDCG = 0.4
"""The least nDCG@10 of the teacher's order under its own picks for a list to be kept (the paper's)."""


class Reason(StrEnum):
    """Why a source gave no training list."""

    FEW = "fewer than two candidates"
    UNREADABLE_PICKS = "unreadable picks"
    NOTHING_RELEVANT = "nothing relevant"
    UNREADABLE_ORDER = "unreadable or incomplete order"
    NO_REASONING = "no reasoning"
    INCONSISTENT = "nDCG@10 too low"
    CONTAMINATED = "contaminated"
    FAILED_CALL = "failed call"


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """A source's outcome: its record where both answers could be read, and `reason` unless it is kept.

    `documents` are those of the record, `completions` all that were paid for, `consistency` is the teacher's nDCG@10.
    """

    source: Source
    record: Record | None = None
    reason: Reason | None = None
    detail: str = ""
    documents: tuple[Document, ...] = ()
    completions: tuple[Completion, ...] = ()
    consistency: float | None = None


def consistency(record: Record) -> float:
    """nDCG@10 of the teacher's order under its own picks in the first call."""
    return ndcg(record.final_list, record.relevant_docids)


class Histogram:
    """The lists' consistency in tenths, and how many lists a threshold keeps."""

    def __init__(self, values: Iterable[float], threshold: float = MIN_NDCG) -> None:
        self.values, self.threshold = sorted(values), threshold

    def kept(self, threshold: float | None = None) -> int:
        """How many lists reach the threshold."""
        least = self.threshold if threshold is None else threshold
        return sum(value >= least for value in self.values)

    def lines(self, width: int = 40) -> list[str]:
        """One line a tenth: its range, a bar, its lists, and how many a threshold at its start keeps."""
        bins = Counter(map(_tenth, self.values))
        most = max(bins.values(), default=0)
        found = ["nDCG@10 of the teacher's order by its own picks"]
        for tenth in range(10):
            start, count = tenth / 10, bins[tenth]
            bar = "#" * -(-width * count // most) if count else ""
            kept = f"{start:.1f} keeps {self.kept(start)}"
            mark = "  <- threshold" if tenth == _tenth(self.threshold) else ""
            found.append(f"{start:.1f}..{start + 0.1:.1f}  {bar:<{width}}  {count:>6}  {kept}{mark}")
        return found


def _tenth(value: float) -> int:
    return min(int(value * 10 + 1e-9), 9)
