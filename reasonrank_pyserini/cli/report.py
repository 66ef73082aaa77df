"""`reasonrank report`: one HTML page of what reranking did, query by query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import VariadicCommand
from .option_names import with_options

if TYPE_CHECKING:
    from ..evaluation.report import ReportResult


@click.command(cls=VariadicCommand)
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILE", help="The page to write.")
@click.option("--dataset", metavar="ID", help="Judgements, passages and queries of this test collection.")
@click.option("--qrels", metavar="FILE", help="Judgements of this qrels file.")
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    help="Which judgements of the data set.  [default: the leaderboard's, else plain]",
)
@click.option(
    "--run",
    metavar="FILE",
    help="The first-stage run; without it, the order before is taken from the windows or from what `reproduce` noted.",
)
@click.option("--index", metavar="NAME|DIR", help="Passages of a prebuilt Pyserini index or an index folder.")
@click.option("--corpus", metavar="FILE", help="Passages: JSONL with id and contents, or title and text.")
@click.option("--topics", metavar="KEY|FILE", help="Query texts: a topics file or a Pyserini key (dl20).")
@click.option(
    "--passage-chars",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    help="Characters of each passage to show; 0 shows docids only.",
)
@click.option("--title", default="Reranking report", show_default=True, help="The page's heading.")
def command(folders: tuple[Path, ...], **settings: Any) -> None:
    """Make one self-contained HTML page of one or several rerankings: scores, gains and losses by query,
    every window with its reasoning.

    DIR is an output folder of `rerank` or `reproduce`, or contains such folders. Without judgements there are no
    scores; without a collection, only docids. A data set that was reranked is used if it is already downloaded.

    \b
    Examples:
      reasonrank report out/ --dataset bright/biology --run bm25.trec -o report.html
      reasonrank report results/ -o report.html
    """
    from ..evaluation.report import ReportRequest, build

    print_written(build(ReportRequest(folders=folders, **settings), say=print_note))


def print_written(result: ReportResult) -> None:
    """The page and its size, on standard error."""
    if result.output != "-":
        size = Path(result.output).stat().st_size
        print_note(f"{result.output}: {result.queries:,} queries, {size / 1e6:,.1f} MB")


def print_note(note: str) -> None:
    click.echo(f"note: {with_options(' '.join(note.splitlines()))}", err=True)
