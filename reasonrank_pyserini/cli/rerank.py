"""`reasonrank rerank`: a run or a request file in, run.trec, trace.jsonl and manifest.json out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..datasets.docids import DOCID_STYLES
from ..errors import InputError
from ..jobs.rerank_request import OracleRequest, RerankRequest, RerankResult
from ..jobs.task_runs import TAG
from ..ranking.model_request import ModelRequest, SettingOverrides
from . import VariadicCommand
from .collection_options import FIRST_STAGE_URL_OPTION, collection_options
from .engine_options import (
    ENGINE_OPTIONS,
    JUDGE_OPTIONS,
    check_unused,
    model_request,
    oracle_noise,
    setting_group,
)
from .option_groups import option_group
from .terminal import say, standing_bar


def judge_request(
    *, judge: str, qrels: str | None, qrels_kind: str | None, model: str | None, **engine: Any
) -> ModelRequest | OracleRequest:
    """The model or the oracle that the options name; InputError when neither is named, and for options of the other."""
    if (noise := oracle_noise(judge)) is not None:
        check_unused(judge, {"model": model, **engine})
        return OracleRequest(noise=noise, qrels=qrels, qrels_kind=qrels_kind or "plain")
    check_unused(judge, {"qrels": qrels, "qrels_kind": qrels_kind})
    if model is None:
        raise InputError(
            "no model: give --model M, such as liuwenhan/reasonrank-7B (or --judge oracle, which needs none)"
        )
    return model_request(model=model, **engine)


@click.command(cls=VariadicCommand)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    help="The first stage's run: TREC, or BRIGHT's score JSON; plain or .gz.",
)
@click.option(
    "--requests", type=click.Path(path_type=Path), help="RankLLM's request file (JSONL), in place of --run."
)
@FIRST_STAGE_URL_OPTION
@collection_options
@option_group("judge", (*ENGINE_OPTIONS, *JUDGE_OPTIONS), judge_request)
@setting_group
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N queries.")
@click.option("--query-ids", metavar="A,B,C", help="Only these queries.")
@click.option("--dry-run", is_flag=True, help="Print windows, tokens and time, then stop.")
@click.option("--on-error", type=click.Choice(["raise", "keep"]), default="raise", show_default=True,
              help="raise: a failed window ends the run; keep: it keeps its order and is counted, exit 3.")  # fmt: skip
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Seconds per query, including waiting; then the order so far is used (exit 3).")  # fmt: skip
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="After 50 windows, stop if a larger share of answers cannot be read.")  # fmt: skip
@click.option("--replay", is_flag=True, help="Take every answer from DIR/journal; no engine is started.")
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write to.",
)
@click.option("--docid-style", type=click.Choice(list(DOCID_STYLES)), default="hub", show_default=True,
              help="In run.trec. hub: the collection's own docids; castorini: with _ for spaces.")  # fmt: skip
@click.option("--tag", default=TAG, show_default=True, help="Last column of run.trec.")
def command(
    judge: ModelRequest | OracleRequest,
    settings: SettingOverrides,
    query_ids: str | None,
    dry_run: bool,
    output: Path | None,
    **request: Any,
) -> None:
    """Rerank the candidates of a first stage with a reasoning listwise model.

    Candidates are taken by their scores, ties in the order of lines (--compat: all in the order of lines).
    Writes DIR/run.trec, DIR/trace.jsonl (every window with the model's reasoning) and DIR/manifest.json.
    The same command again continues where it stopped.

    \b
    Examples:
      reasonrank rerank --run bm25.trec --corpus corpus.jsonl --topics topics.tsv \\
          --model liuwenhan/reasonrank-7B -o out/
      reasonrank rerank --requests requests.jsonl --model liuwenhan/reasonrank-7B \\
          --base-url http://a:8000/v1 http://b:8000/v1 -o out/     # two servers share the windows

    With --replay, the same command makes the run again from DIR/journal, without a GPU or weights. An existing
    result is compared and not changed.
    """
    from ..jobs import estimate, rerank

    ids = None if query_ids is None else tuple(id.strip() for id in query_ids.split(",") if id.strip())
    asked = RerankRequest(
        output=output,
        judge=replace(judge, settings=settings),
        query_ids=ids,
        command=tuple(sys.argv[1:]),
        **request,
    )
    if dry_run:
        from .estimate_lines import rerank_lines

        click.echo("\n".join(rerank_lines(estimate(asked, say=say))))
        return
    result = rerank(asked, say=say, display=standing_bar("window"))
    click.echo(json.dumps(summary(result)))
    if not result.complete:
        sys.exit(3)


def summary(result: RerankResult) -> dict[str, Any]:
    """The counts that are printed at the end."""
    counts = result.counts
    if result.already_there and not result.replayed:
        return {"queries": counts.queries, "windows": counts.windows, "errors": 0, "deadline": 0}
    found = {
        "queries": counts.queries,
        "windows": counts.windows,
        "statuses": counts.statuses,
        "prompt_tokens": counts.prompt_tokens,
        "completion_tokens": counts.completion_tokens,
        "errors": counts.errors,
        "deadline": counts.deadline,
        "counts": counts.notes,
    }
    return {**found, "replayed": True} if result.replayed else found
