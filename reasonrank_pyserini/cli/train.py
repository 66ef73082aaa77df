"""`reasonrank train`: supervised fine-tuning and GRPO from a recipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import click

from . import NamedGroup, VariadicCommand
from .terminal import say


@click.group(cls=NamedGroup, what="stage")
def command() -> None:
    """Train a reasoning reranker: supervised fine-tuning (sft), then reinforcement learning (grpo).

    Needs trl, accelerate, peft and datasets: pip install 'reasonrank-pyserini[train]'.

    \b
    Examples:
      reasonrank train sft --recipe 7b --data sft.jsonl -o sft/
      reasonrank train grpo --recipe 7b --data rl.jsonl --model sft/ --vllm -o model/
      reasonrank train score --model model/ --data held-out.jsonl
    """


def _shared(function: Any) -> Any:
    options = [
        click.option("--recipe", required=True, metavar="NAME|FILE.toml",
                     help="7b, 8b, 32b, tiny, nano, or a file of your own."),
        click.option("--data", required=True, type=click.Path(path_type=Path), metavar="FILE",
                     help="Training examples: sft.jsonl or rl.jsonl of `synthesize`."),
        click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
                     help="Folder to write to."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE ...",
                     help="Settings that override the recipe, such as learning_rate=1e-6."),
        click.option("--dry-run", is_flag=True, help="Print data, steps and memory, then stop."),
        click.option("--gpus", type=click.IntRange(min=1), default=8, show_default=True,
                     help="For --dry-run: number of GPUs."),
        click.option("--sharding", type=click.Choice(["fsdp", "zero3", "none"]), default="fsdp",
                     show_default=True, help="For --dry-run: how model and optimiser states are split over GPUs."),
        click.option("--resume", is_flag=True, help="Continue from a checkpoint; stop if there is none."),
        click.option("--overwrite", is_flag=True, help="Replace another training in -o."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command.command("sft", cls=VariadicCommand)
@_shared
@click.option("--model", metavar="M", help="A folder or hub id.  [default: the recipe's]")
def sft(**options: Any) -> None:
    """Fine-tune on reasoning chains.

    Writes the model, log.jsonl, curves.png and manifest.json into DIR. The loss is on the answer and its end
    token. The same command again continues from the last checkpoint. On several GPUs,
    start it with accelerate (eval/training) or torchrun.

    \b
    Examples:
      reasonrank train sft --recipe 7b --data sft.jsonl --dry-run
      torchrun --nproc_per_node 8 $(which reasonrank) train sft --recipe 7b --data sft.jsonl -o sft/
    """
    _run("sft", **options)


@command.command("grpo", cls=VariadicCommand)
@_shared
@click.option("--model", required=True, metavar="DIR", help="The fine-tuned model: a folder or hub id.")
@click.option("--vllm", is_flag=True, help="Sample with vLLM (GPU only).")
def grpo(**options: Any) -> None:
    """Train with GRPO on the paper's multi-view ranking reward.

    Writes the model, log.jsonl, curves.png and manifest.json into DIR. The reward and its parts (nDCG, recall,
    RBO, format) are logged. The same command again continues from the last checkpoint.

    \b
    Example:
      reasonrank train grpo --recipe 7b --data rl.jsonl --model sft/ --vllm -o model/
    """
    _run("grpo", **options)


def _run(
    stage: Literal["sft", "grpo"],
    *,
    overrides: tuple[str, ...],
    dry_run: bool,
    gpus: int,
    sharding: str,
    **given: Any,
) -> None:
    """Print the estimate of a dry run, or train and print the key figures."""
    from .. import training
    from ..files.outputs import clean_stdout
    from ..training.recipe_loading import parse_settings

    request = training.TrainRequest(
        stage=stage, overrides=parse_settings(overrides), command=tuple(sys.argv[1:]), **given
    )
    if dry_run:
        with clean_stdout():
            lines = list(training.estimate(request, gpus=gpus, sharding=sharding).lines())
        click.echo("\n".join(lines))
        return
    with clean_stdout():
        done = training.run(request, say=say)
    if done.leader:
        click.echo(json.dumps(done.as_dict()))


@command.command("score")
@click.option("--model", required=True, metavar="DIR", help="A folder or hub id.")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Examples that were not used in training."
)
@click.option("--max-completion", type=click.IntRange(min=1), default=3072, show_default=True,
              help="Longest answer, in tokens.")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Prompts per batch.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N examples.")
def score(model: str, data: Path, max_completion: int, batch: int, limit: int | None) -> None:
    """Print the mean reward of a model on held-out lists, as JSON.

    Answers are greedy. Each part of the reward has its own mean.

    \b
    Example:
      reasonrank train score --model model/ --data held-out.jsonl
    """
    from .. import training
    from ..files.outputs import clean_stdout

    with clean_stdout():
        found = training.score(model, data, max_completion=max_completion, batch=batch, limit=limit)
    click.echo(json.dumps(found))
