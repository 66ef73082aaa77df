"""`reasonrank fuse`: two or more runs as one, with given weights or with weights chosen by judgements."""

from __future__ import annotations

from typing import Any

import click

from ..errors import InputError, UnknownNameError
from ..evaluation.fusion_weights import FittedWeights, FitWeightsRequest, fit_weights
from ..files.outputs import clean_stdout
from ..jobs.run_fusion import FuseRequest, FuseResult, fuse_runs
from . import VariadicCommand
from .show import clean
from .terminal import aligned, say

FITTED = "cross-validated"
"""The value of --weights that chooses them by judgements."""


@click.command(cls=VariadicCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN ...")
@click.option("--method", default="rrf", show_default=True, metavar="METHOD",
              help="rrf: by ranks; min-max, z-score: by scores scaled by query; none: as they are.")  # fmt: skip
@click.option("--weights", metavar="W,W,...|cross-validated",
              help="One for each run; or chosen for two runs by judgements.  [default: equal]")  # fmt: skip
@click.option("--rrf-k", type=float, default=60, show_default=True, help="The constant of rrf.")
@click.option("-k", "--k", "k", type=int, metavar="N", help="Documents per query.  [default: all]")
@click.option("--qrels", metavar="FILE", help="cross-validated: judgements from this qrels file.")
@click.option("--dataset", metavar="ID", help="cross-validated: judgements of this test collection.")
@click.option("--qrels-kind", type=click.Choice(["plain", "fixed"]), default="plain", show_default=True,
              help="cross-validated: which judgements of the data set.")  # fmt: skip
@click.option("-m", "--measure", default="nDCG@10", show_default=True, metavar="NAME",
              help="cross-validated: what the weights are chosen by.")  # fmt: skip
@click.option(
    "--folds", type=int, default=5, show_default=True, help="cross-validated: parts of the queries."
)
@click.option("--seed", type=int, default=0, show_default=True, help="cross-validated: seed of the folds.")
@click.option("--tag", metavar="WORD", help="Last column of the run.  [default: the method]")
@click.option(
    "-o", "--output", required=True, metavar="FILE|-", help="The run to write; - is standard output."
)
def command(
    runs: tuple[str, ...], weights: str | None, qrels: str | None, dataset: str | None, output: str,
    qrels_kind: str, measure: str, folds: int, seed: int, **fusion: Any,
) -> None:  # fmt: skip
    """Fuse two or more runs into one, query by query.

    A run is taken by its scores, ties in the order of lines. Documents that a run lacks get nothing from it. With
    --weights cross-validated the weights of two runs are chosen by the judgements: for each fold of the queries on
    the other folds, so that no query is scored with weights that it helped to choose.

    \b
    Examples:
      reasonrank fuse bm25.trec dense.trec -o fused.trec
      reasonrank fuse bm25.trec out/run.trec --method min-max --weights 0.3,0.7 -o fused.trec
      reasonrank fuse bm25.trec out/run.trec --method z-score --weights cross-validated \\
          --qrels qrels.txt -o fused.trec
    """
    given = None if weights in (None, FITTED) else _weights(str(weights))
    request = FuseRequest(runs=runs, weights=given, **fusion)
    if weights != FITTED:
        if qrels is not None or dataset is not None:
            raise InputError(f"judgements are for --weights {FITTED}")
        request.check()
        with clean_stdout():
            result = fuse_runs(request, say=say)
        result.write(output)
        say(_counts(result))
        return
    asked = FitWeightsRequest(
        fuse=request, qrels=qrels, dataset=dataset, qrels_kind=qrels_kind, measure=measure, folds=folds, seed=seed
    )  # fmt: skip
    with clean_stdout():
        fitted = fit_weights(asked, say=say)
    fitted.fused.write(output)
    say(_counts(fitted.fused))
    click.echo(_report(asked, fitted, runs), err=output == "-")


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        if text.replace(",", "").replace(".", "").isalpha() or "-" in text.strip("-"):
            raise UnknownNameError("weights", text, (FITTED,), "or numbers, such as 0.3,0.7") from None
        raise InputError(f"--weights {text}: give a number for each run, such as 0.3,0.7") from None


def _counts(result: FuseResult) -> str:
    documents = sum(map(len, result.run.values()))
    return f"{len(result.run)} queries, {documents} documents, fused by {result.request.method}"


def _report(request: FitWeightsRequest, fitted: FittedWeights, names: tuple[str, ...]) -> str:
    """Weights by fold, and the scores of the fused run and of each run alone."""
    folds = [["fold", "queries", "weights", "other folds", "this fold"]]
    folds += [
        [str(number), str(len(fold.queries)), _pair(fold.weights), f"{fold.others:.4f}", f"{fold.score:.4f}"]
        for number, fold in enumerate(fitted.folds, 1)
    ]
    scores = [["run", fitted.measure, "fused - it", "95% interval"]]
    scores.append(["fused, cross-validated", f"{fitted.scores.means[fitted.measure]:.4f}"])
    for name, alone, one in zip(names, fitted.alone, fitted.comparison, strict=True):
        row = [clean(name), f"{alone.means[fitted.measure]:.4f}", f"{one.difference:+.4f}"]
        scores.append([*row, f"{one.low:+.4f}..{one.high:+.4f}"])
    head = f"{request.fuse.method}, weights chosen by {fitted.measure} in {len(folds) - 1} folds (seed {request.seed})"
    best = _pair(fitted.overall)
    last = (
        f"On all judged queries together the weights {best} are best, with {fitted.overall_score:.4f}. They are fitted "
        "to the\nqueries that they are scored on, so this is too high: report the cross-validated score. For other "
        f"queries:\n--weights {best.replace(' ', ',')}"
    )
    return "\n\n".join([head, aligned(folds), aligned([row + [""] * (4 - len(row)) for row in scores]), last])


def _pair(weights: tuple[float, float]) -> str:
    return " ".join(f"{weight:.2f}" for weight in weights)
