"""The weights of two fused runs chosen by judgements, and their cross-validated score."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files.lines import printable
from ..jobs.judgements import QrelsSource, read_judgements
from ..jobs.run_fusion import FuseRequest, FuseResult, ReadRuns, read_runs
from ..jobs.saying import Say, silent
from ..scoring import Qrels, Scores, score
from ..types import ScoredDocument
from .comparison import Comparison, compare

if TYPE_CHECKING:
    from ir_measures import Measure

    from ..datasets import Dataset

GRID = tuple(step / 20 for step in range(21))
"""The weights of the second run that are tried; the first has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitWeightsRequest:
    """Two runs to fuse (`fuse`, whose weights are left out), and the judgements that choose the weight.

    Judgements: `qrels` or `dataset`, of the kind `qrels_kind` (plain, fixed). The judged queries are dealt into
    `folds`, shuffled by `seed`.
    """

    fuse: FuseRequest
    qrels: QrelsSource | None = None
    dataset: str | Path | Dataset | None = None
    qrels_kind: str = "plain"
    measure: str | Measure = "nDCG@10"
    folds: int = 5
    seed: int = 0

    def check(self) -> None:
        """InputError for everything that can be refused before any work."""
        self.fuse.check()
        if len(self.fuse.runs) != 2:
            raise InputError(f"{len(self.fuse.runs)} runs: a weight is chosen for two")
        if self.fuse.weights is not None:
            raise InputError("`weights` are chosen by the judgements: leave them out")
        if (self.qrels is None) == (self.dataset is None):
            raise InputError("weights are chosen by judgements: give either `dataset` ID or `qrels` FILE")
        if self.folds < 2:
            raise InputError(f"`folds` is {self.folds}: give at least 2")


@dataclass(frozen=True, slots=True)
class FoldWeights:
    """The weights of both runs that were best on the queries of the other folds (`others`: their score there), and the
    score that they have on this fold."""

    weights: tuple[float, float]
    queries: tuple[str, ...]
    others: float
    score: float


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """Two runs fused with the weights of their folds.

    `fused`: every query with the weights of its fold, queries without judgements with those of all. `scores`:
    cross-validated, no query had a part in its own weight. `alone`: each run's own; `comparison`: the fused run against
    it. `overall`: the weights that are best on all judged queries, and `overall_score`, which is too high, since they
    are fitted to the queries that it is of. Scores are over all judged queries.
    """

    fused: FuseResult
    measure: str
    folds: tuple[FoldWeights, ...]
    scores: Scores
    alone: tuple[Scores, Scores]
    comparison: tuple[Comparison, Comparison]
    overall: tuple[float, float]
    overall_score: float
    notes: tuple[str, ...] = ()


def fit_weights(request: FitWeightsRequest, *, say: Say = silent) -> FittedWeights:
    """The weights of each fold, chosen on the others, and what they score; equal requests give equal results.

    Weights that score the same: the pair nearest to equal, then the one with more weight for the first run. `say`
    takes the notes as they come. InputError for everything that cannot work.
    """
    request.check()
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        say(line)

    qrels = read_judgements(request.dataset, request.qrels, request.qrels_kind, say=note)
    runs = read_runs(request.fuse, note)
    grid = _Grid.over(runs, qrels, request.measure)
    judged = [query for query in runs.queries if qrels.get(query)]
    _note_queries(runs, qrels, judged, note)
    folds = tuple(grid.fold(some, judged) for some in _dealt(judged, request.folds, request.seed))
    overall = grid.best(judged)
    chosen = {query: fold.weights for fold in folds for query in fold.queries}
    fused = {query: runs.fused(query, chosen.get(query, _pair(overall))) for query in runs.queries}
    scores = score(qrels, _ids(fused), [request.measure])
    alone = tuple(score(qrels, _ids(one.run), [request.measure]) for one in runs.given)
    first, second = (compare(scores, one, seed=request.seed)[grid.measure] for one in alone)
    result = FuseResult(request.fuse, fused, tuple(notes))
    if request.fuse.output is not None:
        result.write(request.fuse.output)
    return FittedWeights(
        result, grid.measure, folds, scores, (alone[0], alone[1]), (first, second), _pair(overall),
        grid.values[overall].means[grid.measure], tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Grid:
    """The scores of the fused runs by the second run's weight."""

    measure: str
    values: Mapping[float, Scores]

    @classmethod
    def over(cls, runs: ReadRuns, qrels: Qrels, measure: str | Measure) -> _Grid:
        judged = [query for query in runs.queries if query in qrels]
        values = {
            weight: score(qrels, _ids({one: runs.fused(one, _pair(weight)) for one in judged}), [measure])
            for weight in GRID
        }
        (name,) = values[0.0].means
        return cls(name, values)

    def mean(self, weight: float, queries: Sequence[str]) -> float:
        per_query = self.values[weight].per_query
        return fmean(per_query[query][self.measure] for query in queries)

    def best(self, queries: Sequence[str]) -> float:
        """The weight with the best mean over the queries."""
        return max(
            GRID, key=lambda weight: (round(self.mean(weight, queries), 12), -abs(weight - 0.5), -weight)
        )

    def fold(self, queries: Sequence[str], judged: Sequence[str]) -> FoldWeights:
        own = set(queries)
        others = [query for query in judged if query not in own]
        weight = self.best(others)
        return FoldWeights(
            _pair(weight), tuple(queries), self.mean(weight, others), self.mean(weight, queries)
        )


def _dealt(queries: Sequence[str], folds: int, seed: int) -> list[list[str]]:
    if len(queries) < folds:
        raise InputError(f"{len(queries)} judged queries for {folds} `folds`: give fewer")
    shuffled = sorted(queries)
    random.Random(seed).shuffle(shuffled)
    return [shuffled[at::folds] for at in range(folds)]


def _pair(weight: float) -> tuple[float, float]:
    return round(1 - weight, 10), weight


def _ids(run: Mapping[str, Sequence[ScoredDocument]]) -> dict[str, list[str]]:
    return {query: [hit.id for hit in hits] for query, hits in run.items()}


def _note_queries(runs: ReadRuns, qrels: Qrels, judged: Sequence[str], note: Say) -> None:
    known = set(judged)
    if unjudged := [query for query in runs.queries if query not in known]:
        note(
            f"{len(unjudged)} of {len(runs.queries)} queries have no judgements ({_some(unjudged)}): they get the "
            "weights of all judged queries and do not count"
        )
    if missing := [query for query in qrels if query not in set(runs.queries)]:
        note(
            f"{len(missing)} judged queries are in no run ({_some(missing)}): they count as 0 in every score"
        )


def _some(queries: Sequence[str]) -> str:
    return ", ".join(map(printable, queries[:5])) + (", ..." if len(queries) > 5 else "")
