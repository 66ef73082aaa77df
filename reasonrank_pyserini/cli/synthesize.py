"""`reasonrank synthesize`: training lists with a teacher's reasoning, from questions and a corpus or pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from . import VariadicCommand
from .option_names import with_options
from .synthesize_options import (
    candidate_options,
    list_options,
    source_options,
    student_options,
    teacher_options,
)
from .terminal import say, standing_bar

if TYPE_CHECKING:
    from ..training.synthesis import CandidateOptions, SynthesisEstimate, TeacherOptions


@click.command(cls=VariadicCommand)
@source_options
@candidate_options
@teacher_options
@list_options
@student_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N queries.")
@click.option("--dry-run", is_flag=True, help="Print calls, tokens and cost, then stop.")
@click.option(
    "--paper", is_flag=True, help="With --dry-run: the cost of the paper's 13,517 lists; needs no --sources."
)
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="After 50 queries, stop if a larger share of answers cannot be read.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
def command(
    *,
    candidates: CandidateOptions,
    teacher: TeacherOptions,
    dry_run: bool,
    paper: bool,
    **given: Any,
) -> None:
    """Make training lists for a reasoning reranker with a teacher model.

    The teacher is called twice per query. First it sees the gold answer and picks the relevant passages. Then,
    without the gold answer, it orders a list of picked and other passages, with its reasoning. A list is kept if
    its order agrees with the picks.
    Writes DIR/records.jsonl, sft.jsonl, rl.jsonl, filtered.jsonl (with reasons), queries.jsonl,
    documents.jsonl and manifest.json. The same command again continues where it
    stopped; no call is paid twice.

    \b
    Examples:
      reasonrank synthesize --sources math.jsonl --domain math --corpus theorems.jsonl --method bm25 \\
          --model deepseek-reasoner --base-url https://example.org/v1 --against bright/theoremqa_theorems -o lists/
      reasonrank synthesize --dry-run --paper --price-in 0.55 --price-out 2.19
    """
    from ..files.outputs import clean_stdout
    from ..training import synthesis

    if paper:
        if not dry_run:
            raise InputError("--paper goes with --dry-run: it shows what the paper's lists would cost")
        prices = {"price_in": teacher.price_in, "price_out": teacher.price_out}
        _print_lines(synthesis.paper_estimate(pool=candidates.pool, **prices))
        return
    request = synthesis.SynthesisRequest(
        candidates=candidates, teacher=teacher, command=tuple(sys.argv[1:]), **given
    )
    if dry_run:
        with clean_stdout():
            found = synthesis.estimate(request, say=say)
        _print_lines(found)
        return
    with clean_stdout():
        done = synthesis.run(request, say=say, display=standing_bar(" queries"))
    click.echo(json.dumps(done.counts))
    if done.failed_calls:
        sys.exit(3)


def _print_lines(found: SynthesisEstimate) -> None:
    click.echo(with_options("\n".join(found.lines())))
