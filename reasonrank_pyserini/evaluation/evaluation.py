"""Scores of a run over all judged queries, alone or against a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files.runs import read_run_report
from ..files.trec import RunReport
from ..jobs.judgements import QrelsSource, read_judgements
from ..scoring import Qrels, Run, Scores, score
from .comparison import Comparison, compare
from .statistics import Interval, bootstrap_mean

if TYPE_CHECKING:
    from ir_measures import Measure

    from ..datasets import Dataset

MEASURES = ("nDCG@10", "AP", "R@100", "RR@10")

RunSource = str | Path | Run
"""A TREC run file (`-`: standard input), or by query id ScoredDocuments or docids in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """A run to score, its judgements (`qrels` or `dataset`), and perhaps a baseline to compare it with.

    `qrels_kind` (`plain`, `fixed`) chooses among the judgements of a data set; `seed` is that of the resampling.
    `run_queries`: only judged queries that the run (and the baseline) has count, as in trec_eval without -c; else
    all judged queries do, those without documents as 0.
    """

    run: RunSource
    qrels: QrelsSource | None = None
    dataset: str | Path | Dataset | None = None
    qrels_kind: str = "plain"
    measures: Sequence[str | Measure] = MEASURES
    baseline: RunSource | None = None
    seed: int = 0
    run_queries: bool = False


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Scores with bootstrap 95% intervals of their means, and the paired comparison with the baseline.

    An interval is None for a single query and for measures that are sums over queries. Without a baseline the
    last three are empty. `notes`: what a user should know about the files and the queries, one line each.
    """

    scores: Scores
    intervals: Mapping[str, Interval | None]
    notes: tuple[str, ...] = ()
    baseline: Scores | None = None
    baseline_intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    comparison: Mapping[str, Comparison] = field(default_factory=dict)


def evaluate(request: EvaluateRequest) -> EvaluateResult:
    """The scores of a run; equal seeds give equal results.

    Raises InputError for what cannot be read or scored, UnknownNameError for a measure or data set that does not
    exist.
    """
    if request.seed < 0:
        raise InputError(f"`seed` must be 0 or more, not {request.seed}")
    if (request.qrels is None) == (request.dataset is None):
        raise InputError("give either `dataset` ID or `qrels` FILE")
    notes: list[str] = []
    qrels = read_judgements(request.dataset, request.qrels, request.qrels_kind, say=notes.append)
    run = _read(request.run, "run", notes)
    base = None if request.baseline is None else _read(request.baseline, "baseline", notes)
    if request.run_queries:
        judged, qrels = qrels, _common_queries(qrels, [run] if base is None else [run, base], notes)
        left = judged.keys() - qrels.keys()
        run, base = _without(run, left), None if base is None else _without(base, left)
    scores = _score(run, qrels, request.measures, notes)
    intervals = mean_intervals(scores, request.seed)
    if base is None:
        return EvaluateResult(scores, intervals, tuple(notes))
    baseline = _score(base, qrels, request.measures, notes)
    if len(scores.per_query) == 1:
        notes.append("a single query is compared: there is no p value")
    return EvaluateResult(
        scores,
        intervals,
        tuple(notes),
        baseline,
        mean_intervals(baseline, request.seed),
        compare(scores, baseline, seed=request.seed),
    )


def mean_intervals(scores: Scores, seed: int = 0) -> dict[str, Interval | None]:
    """The bootstrap interval of every measure's mean; None for a single query and for sums over queries."""
    columns = {name: [found[name] for found in scores.per_query.values()] for name in scores.means}
    return {
        name: bootstrap_mean(values, seed=seed) if _is_mean(scores.means[name], values) else None
        for name, values in columns.items()
    }


def _is_mean(total: float, values: Sequence[float]) -> bool:
    """Whether a measure's value over all queries is their mean (and there are several)."""
    return len(values) > 1 and math.isclose(total, sum(values) / len(values), rel_tol=1e-6, abs_tol=1e-9)


@dataclass(frozen=True, slots=True)
class _ReadRun:
    """A run as read, the name it has in notes, and the report of its file if it came from one."""

    run: Run
    name: str
    report: RunReport | None = None


def _read(source: RunSource, name: str, notes: list[str]) -> _ReadRun:
    """The run; the notes of its file join `notes`."""
    if isinstance(source, Mapping):
        return _ReadRun(source, name)
    if not isinstance(source, str | Path):
        raise InputError(
            f"the {name} is a {type(source).__name__}: give a file, or hits by query id as a dict"
        )
    report = read_run_report(source)
    notes += report.notes
    return _ReadRun(report.run, str(source), report)


def _common_queries(qrels: Qrels, runs: Sequence[_ReadRun], notes: list[str]) -> Qrels:
    """The judgements of the queries for which every run has documents; InputError when there are none."""
    kept = {query: grades for query, grades in qrels.items() if all(one.run.get(query) for one in runs)}
    if not kept:
        names = " and ".join(one.name for one in runs)
        raise InputError(f"no judged query is in {names}: leave `run_queries` out to count them as 0")
    if left := len(qrels) - len(kept):
        notes.append(f"{left} of {len(qrels)} judged queries are left out, since not every run has them")
    return kept


def _without(given: _ReadRun, queries: Set[str]) -> _ReadRun:
    """The run without some queries."""
    return replace(given, run={query: hits for query, hits in given.run.items() if query not in queries})


def _score(given: _ReadRun, qrels: Qrels, measures: Sequence[str | Measure], notes: list[str]) -> Scores:
    """The scores of one run; their notes join `notes` under its name."""
    scores = score(qrels, given.run, measures)
    if given.report is not None:
        notes += _note_on_repeats(given.report, qrels, scores)
    notes += (f"{given.name}: {note}" for note in scores.notes)
    return scores


def _note_on_repeats(report: RunReport, qrels: Qrels, scores: Scores) -> list[str]:
    """A line when the scores change where the last line of a repeated document counts, not the first."""
    if not report.duplicates:
        return []
    run = {query: [*hits, *report.repeated.get(query, ())] for query, hits in report.run.items()}
    others = score(qrels, run, tuple(scores.means), duplicates="last").means
    changed = [
        f"{name} {mean:.4f}, not {scores.means[name]:.4f}"
        for name, mean in others.items()
        if abs(mean - scores.means[name]) > 1e-9
    ]
    if not changed:
        return []
    return [
        f"{report.path}: with the last of a repeated document's lines, as pytrec_eval: {'; '.join(changed)}"
    ]
