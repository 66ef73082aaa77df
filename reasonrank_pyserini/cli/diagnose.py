"""`reasonrank diagnose`: what finished rerankings say about their judge."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import VariadicCommand
from .option_names import with_options
from .report import print_note
from .show import clean

if TYPE_CHECKING:
    from ..evaluation.diagnosis import TaskDiagnosis


@click.command(cls=VariadicCommand)
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("--dataset", metavar="ID", help="Judgements of this test collection.")
@click.option("--qrels", metavar="FILE", help="Judgements of this qrels file.")
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    help="Which judgements of the data set.  [default: the leaderboard's, else plain]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folders: tuple[Path, ...], as_json: bool, **settings: Any) -> None:
    """Show how far the judge of a reranking can be trusted, from its trace, without a model.

    Agreement with itself on passages that it saw together more than once, the pull of the place at which a passage is
    shown, and with judgements whether it is right, more often so where it is surer. Each figure comes with its count
    and the bootstrap 95% interval over queries.

    DIR is an output folder of `rerank` or `reproduce`, or contains such folders. A data set that was reranked is used
    for judgements if it is already downloaded.

    \b
    Examples:
      reasonrank diagnose out/ --qrels qrels.txt
      reasonrank diagnose results/ --json
    """
    from ..evaluation.diagnosis import DiagnosisRequest, diagnose
    from .diagnosis_tables import diagnosis_text, tasks_table

    found = diagnose(DiagnosisRequest(folders=folders, **settings), say=print_note)
    if as_json:
        click.echo(json.dumps({"tasks": [_record(one) for one in found]}, indent=1))
        return
    texts = [diagnosis_text(one) for one in found]
    if len(found) > 1:
        texts.append(tasks_table(found))
    click.echo(clean(with_options("\n\n\n".join(texts))))


def _record(found: TaskDiagnosis) -> dict[str, Any]:
    record = asdict(found)
    record["position"]["tau"] = found.position.tau
    return record
