"""`reasonrank synthesize`: training lists with a teacher's reasoning, from questions and a corpus or pages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from . import VariadicCommand
from .synthesize_options import input_options, list_options, student_options, teacher_options


@click.command(cls=VariadicCommand)
@input_options
@teacher_options
@list_options
@student_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N queries.")
@click.option("--dry-run", is_flag=True, help="State calls, tokens and money, then stop.")
@click.option(
    "--paper", is_flag=True, help="With --dry-run: for the paper's 13,517 lists instead of --sources."
)
@click.option("--on-error", type=click.Choice(["raise", "drop"]), default="raise", show_default=True,
              help="A call that fails for good ends the run, or drops its query, counted (exit 3).")  # fmt: skip
@click.option("--max-failed", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Stop when, after 50 queries, a larger share gave nothing that can be read.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another configuration's result in -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
def command(**flags: Any) -> None:
    """Make training lists for a reasoning reranker with a teacher model.

    Two calls a query: the teacher picks the relevant passages, seeing the gold answer; then it orders a
    list of them and others with reasoning, not seeing it. Lists whose order agrees with the picks are kept.
    Writes DIR/records.jsonl, sft.jsonl, rl.jsonl, filtered.jsonl (with reasons), queries.jsonl,
    documents.jsonl and manifest.json. The same command again continues where it stopped and pays no call twice.

    \b
    Examples:
      reasonrank synthesize --sources math.jsonl --domain math --corpus theorems.jsonl --method bm25 \\
          --model deepseek-reasoner --base-url https://example.org/v1 --against bright/theoremqa_theorems -o lists/
      reasonrank synthesize --dry-run --paper --price-in 0.55 --price-out 2.19
    """
    from ..training.synthesis.synthesis_estimate import estimate, paper_estimate

    if flags["paper"]:
        if not flags["dry_run"]:
            raise InputError("--paper goes with --dry-run: it states what the paper's lists would cost")
        click.echo("\n".join(paper_estimate(flags)))
        return
    if flags["output"] is None and not flags["dry_run"]:
        raise InputError("give -o DIR, the folder for records.jsonl, sft.jsonl, rl.jsonl and the rest")
    from ..training.synthesis.synthesis_job import SynthesisJob
    from ..training.synthesis.synthesis_run import run_synthesis

    job = SynthesisJob.prepare(flags, command=sys.argv[1:])
    if flags["dry_run"]:
        click.echo("\n".join(estimate(job)))
        return
    summary = run_synthesis(job, flags["output"], overwrite=flags["overwrite"])
    click.echo(json.dumps(summary))
    if summary.get("dropped", {}).get("failed call"):
        sys.exit(3)
