"""`reasonrank evaluate`: score a run, alone or against a baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from ..evaluation.comparison import Comparison, compare
from ..evaluation.statistics import Interval, bootstrap_mean
from ..files.trec import RunReport, read_run_report
from ..jobs.judgements import read_judgements
from ..scoring import Scores, score
from . import VariadicCommand
from .show import clean

MEASURES = ("nDCG@10", "AP", "R@100", "RR@10")


@click.command(cls=VariadicCommand)
@click.option("--run", "run_path", required=True, metavar="FILE", help="The TREC run, plain or .gz.")
@click.option("--dataset", metavar="ID", help="Take the judgements of this test collection.")
@click.option("--qrels", "qrels_path", metavar="FILE", help="Take the judgements of this qrels file.")
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    default="plain",
    show_default=True,
    help="Which judgements of the collection.",
)
@click.option("-m", "--measure", "measures", multiple=True, metavar="NAME ...", help="ir_measures names.")
@click.option("--baseline", metavar="FILE", help="Compare with this run, query by query.")
@click.option("--seed", default=0, show_default=True, help="For the resampling.")
@click.option("--per-query", is_flag=True, help="Show every query.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    run_path: str,
    dataset: str | None,
    qrels_path: str | None,
    qrels_kind: str,
    measures: tuple[str, ...],
    baseline: str | None,
    seed: int,
    per_query: bool,
    as_json: bool,
) -> None:
    """Score a run with ir-measures, by its scores as trec_eval does, over all judged queries.

    Means come with the bootstrap 95% interval over queries. With --baseline: difference of the means and its
    interval, p values of the paired t-test and of the randomisation test, queries won, tied and lost.

    \b
    Example:
      reasonrank evaluate --run out/run.trec --qrels qrels.txt -m nDCG@10 R@100 \\
          --baseline bm25.trec
    """
    if seed < 0:
        raise click.UsageError("--seed must be 0 or more")
    if (dataset is None) == (qrels_path is None):
        raise click.UsageError("give either --dataset ID or --qrels FILE")
    qrels = read_judgements(dataset, qrels_path, qrels_kind)
    names = measures or MEASURES
    scores = _scored(run_path, qrels, names)
    first = _scored(baseline, qrels, names) if baseline is not None else None
    compared = compare(scores, first, seed=seed) if first is not None else {}
    if as_json:
        report = _report(run_path, dataset or qrels_path, scores, per_query, seed)
        if first is not None:
            report["baseline"] = _report(baseline, None, first, per_query, seed)
            report["comparison"] = {name: asdict(one) for name, one in compared.items()}
        click.echo(json.dumps(report, indent=1))
        return
    click.echo(f"run    {run_path}")
    click.echo(f"qrels  {dataset or qrels_path}{f' ({qrels_kind})' if dataset else ''}, {_count(scores)}")
    if baseline is not None:
        click.echo(f"base   {baseline}")
    if per_query:
        click.echo("\n" + _table(_query_rows(scores)))
    click.echo("\n" + _table(_comparison_rows(compared) if compared else _mean_rows(scores, seed)))


def _scored(path: str, qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str]) -> Scores:
    report = read_run_report(path)
    scores = score(qrels, report.run, measures)
    _say(
        (
            *report.notes,
            *_repeated_notes(report, qrels, scores),
            *(f"{path}: {note}" for note in scores.notes),
        )
    )
    return scores


def _repeated_notes(report: RunReport, qrels: Mapping[str, Mapping[str, int]], scores: Scores) -> list[str]:
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


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {clean(note)}", err=True)


def _report(run: str | None, qrels: str | None, scores: Scores, per_query: bool, seed: int) -> dict[str, Any]:
    report: dict[str, Any] = {"run": run}
    if qrels is not None:
        report["qrels"] = qrels
    report |= {"queries": len(scores.per_query), "measures": scores.means, "missing": len(scores.missing)}
    intervals = _intervals(scores, seed)
    report["intervals"] = {name: one and [one.low, one.high] for name, one in intervals.items()}
    if per_query:
        report["per_query"] = scores.per_query
    return report


def _count(scores: Scores) -> str:
    count = len(scores.per_query)
    return f"{count} {'query' if count == 1 else 'queries'}"


def _intervals(scores: Scores, seed: int) -> dict[str, Interval | None]:
    """The interval of every measure's mean; None where there is none: for a single query, for sums."""
    columns = {name: [found[name] for found in scores.per_query.values()] for name in scores.means}
    return {
        name: bootstrap_mean(values, seed=seed) if _has_interval(scores.means[name], values) else None
        for name, values in columns.items()
    }


def _has_interval(mean: float, values: Sequence[float]) -> bool:
    """Whether the measure is a mean over several queries; some are sums over them."""
    return len(values) > 1 and math.isclose(mean, sum(values) / len(values), rel_tol=1e-6, abs_tol=1e-9)


def _mean_rows(scores: Scores, seed: int) -> list[list[str]]:
    rows = [["measure", "mean", "95% interval"]]
    for name, one in _intervals(scores, seed).items():
        between = f"{one.low:.4f}..{one.high:.4f}" if one else "-"
        rows.append([name, f"{scores.means[name]:.4f}", between])
    return rows


def _query_rows(scores: Scores) -> list[list[str]]:
    rows = [["query", *scores.means]]
    rows += [
        [clean(query), *(f"{found[name]:.4f}" for name in scores.means)]
        for query, found in scores.per_query.items()
    ]
    return rows


def _comparison_rows(compared: Mapping[str, Comparison]) -> list[list[str]]:
    rows = [["measure", "run", "base", "diff", "95% interval", "p(t)", "p(rand)", "win/tie/loss"]]
    rows += [
        [
            name,
            f"{one.mean:.4f}",
            f"{one.baseline:.4f}",
            f"{one.difference:+.4f}",
            f"{one.low:+.4f}..{one.high:+.4f}",
            _probability(one.p_t),
            _probability(one.p_randomisation),
            f"{one.wins}/{one.ties}/{one.losses}",
        ]
        for name, one in compared.items()
    ]
    return rows


def _probability(value: float | None) -> str:
    return "-" if value is None else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )
