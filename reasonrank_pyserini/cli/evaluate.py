"""`reasonrank evaluate`: score a run, alone or against a baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from ..evaluation import EvaluateRequest, EvaluateResult, evaluate
from ..evaluation.comparison import Comparison
from ..evaluation.evaluation import MEASURES
from ..evaluation.statistics import Interval
from ..scoring import Scores
from . import VariadicCommand
from .option_names import with_options
from .show import clean
from .terminal import aligned


@click.command(cls=VariadicCommand)
@click.option(
    "--run", required=True, metavar="FILE", help="The run: TREC, or BRIGHT's score JSON; plain or .gz."
)
@click.option(
    "--dataset", metavar="ID", help="Judgements of this test collection: see `reasonrank datasets`."
)
@click.option("--qrels", metavar="FILE", help="Judgements from this qrels file.")
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    default="plain",
    show_default=True,
    help="Which judgements of the data set; fixed: castorini's corrections.",
)
@click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME ...",
    help="Measures, by their ir_measures names.  [default: nDCG@10 AP R@100 RR@10]",
)
@click.option("--baseline", metavar="FILE", help="Compare with this run, query by query.")
@click.option(
    "--run-queries", is_flag=True, help="Average only over queries that the run (and the baseline) has."
)
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the bootstrap and the randomisation test."
)
@click.option("--per-query", is_flag=True, help="Print every query's scores too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(measures: tuple[str, ...], per_query: bool, as_json: bool, **settings: Any) -> None:
    """Score a run with ir-measures, by its scores as trec_eval does, over all judged queries.

    Means come with the bootstrap 95% interval over queries. With --baseline: difference of the means and its
    interval, p values of the paired t-test and of the randomisation test, queries won, tied and lost.

    \b
    Example:
      reasonrank evaluate --run out/run.trec --qrels qrels.txt -m nDCG@10 R@100 \\
          --baseline bm25.trec
    """
    request = EvaluateRequest(**settings, measures=measures or MEASURES)
    result = evaluate(request)
    for note in result.notes:
        click.echo(f"note: {clean(with_options(note))}", err=True)
    if as_json:
        click.echo(json.dumps(_record(request, result, per_query), indent=1))
        return
    kind = f" ({request.qrels_kind})" if request.dataset is not None else ""
    click.echo(f"run    {request.run}")
    click.echo(f"qrels  {_qrels_name(request)}{kind}, {_count(result.scores)}")
    if request.baseline is not None:
        click.echo(f"base   {request.baseline}")
    if per_query:
        click.echo("\n" + aligned(_query_rows(result.scores)))
    rows = _comparison_rows(result.comparison) if result.comparison else _mean_rows(result)
    click.echo("\n" + aligned(rows))


def _qrels_name(request: EvaluateRequest) -> str:
    return str(request.qrels if request.dataset is None else request.dataset)


def _record(request: EvaluateRequest, result: EvaluateResult, per_query: bool) -> dict[str, Any]:
    """What --json prints."""
    record: dict[str, Any] = {"run": request.run, "qrels": _qrels_name(request)}
    record |= _scores_record(result.scores, result.intervals, per_query)
    if result.baseline is not None:
        baseline = _scores_record(result.baseline, result.baseline_intervals, per_query)
        record["baseline"] = {"run": request.baseline, **baseline}
        record["comparison"] = {name: asdict(one) for name, one in result.comparison.items()}
    return record


def _scores_record(
    scores: Scores, intervals: Mapping[str, Interval | None], per_query: bool
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "queries": len(scores.per_query),
        "measures": scores.means,
        "missing": len(scores.missing),
        "intervals": {name: one and [one.low, one.high] for name, one in intervals.items()},
    }
    return record | ({"per_query": scores.per_query} if per_query else {})


def _count(scores: Scores) -> str:
    count = len(scores.per_query)
    return f"{count} {'query' if count == 1 else 'queries'}"


def _mean_rows(result: EvaluateResult) -> list[list[str]]:
    rows = [["measure", "mean", "95% interval"]]
    for name, one in result.intervals.items():
        between = f"{one.low:.4f}..{one.high:.4f}" if one else "-"
        rows.append([name, f"{result.scores.means[name]:.4f}", between])
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
