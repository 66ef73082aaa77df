"""A training as the command line asks for it: told about, or run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from ..files.outputs import clean_stdout
from ..training import stage
from ..training.checkpoints import StageFolder
from ..training.data import histogram
from ..training.memory import estimate, size_of
from ..training.recipe import Grpo
from ..training.recipe_loading import load_recipe


def run(kind: str, flags: Mapping[str, Any], *, command: Sequence[str]) -> None:
    """Train, or with --dry-run say what a training would be."""
    recipe = load_recipe(flags["recipe"], flags["overrides"], stage=kind)
    model = flags["model"] or recipe.model
    request = stage.Request(kind, recipe, flags["data"], model, vllm=flags.get("vllm", False))
    if flags["dry_run"]:
        with clean_stdout():
            prepared = stage.prepare(request)
        click.echo("\n".join(described(prepared, flags["gpus"], flags["sharding"])))
        return
    output = need_output(flags["output"])
    if flags["resume"] and StageFolder(output, {}).resume_from is None:
        raise InputError(f"--resume: {output} holds no checkpoint: leave --resume out to start")
    from ..training import grpo, sft

    with clean_stdout():
        found = (sft if kind == "sft" else grpo).train(
            request, output, overwrite=flags["overwrite"], command=command, say=_say
        )
    if stage.rank() == 0:
        click.echo(json.dumps(found))


def _say(line: str) -> None:
    if stage.rank() == 0:
        click.echo(f"reasonrank: {line}", err=True)


def described(prepared: stage.Prepared, gpus: int, sharding: str) -> Iterator[str]:
    """Lines for the user: settings, data, steps, differences from the authors' tools, memory."""
    request, settings, counts = prepared.request, prepared.request.settings, prepared.counts
    yield f"stage              {request.kind}, recipe {request.recipe.name}"
    yield f"model              {request.model or 'the untrained network of the recipe'}"
    for name in settings.__dataclass_fields__:
        yield f"  {name:<24} {getattr(settings, name)}"
    yield f"examples           {counts.kept} of {counts.read}"
    yield f"overlong           {counts.overlong} left out"
    yield f"without answer     {counts.without_answer} left out"
    at_once, accumulated = stage.spread(settings, gpus)
    yield f"optimizer steps    {stage.optimizer_steps(prepared)}"
    yield f"batch              {settings.batch} = {at_once} at a time x {accumulated} accumulated x {gpus} GPUs"
    if isinstance(settings, Grpo):
        yield (
            f"rounds             {settings.rounds} of {settings.prompts} prompts x {settings.rollouts} rollouts, "
            f"{settings.rounds_updates} updates each"
        )
    yield "prompt tokens"
    yield from (f"  {line}" for line in histogram([len(e.prompt) for e in prepared.examples]))
    if request.kind == "sft":
        yield "answer tokens"
        yield from (f"  {line}" for line in histogram([len(e.answer) for e in prepared.examples]))
    yield f"template           {'opens' if prepared.encoder.opened else 'does not open'} the reasoning"
    yield from _memory(prepared, gpus, sharding)
    for item in request.recipe.differences:
        if item.stage == request.kind:
            yield f"differs: {item.setting}: authors: {item.authors}; here: {item.here}; {item.reason}"


def _memory(prepared: stage.Prepared, gpus: int, sharding: str) -> Iterator[str]:
    from ..models.identity import read_config

    request = prepared.request
    size = size_of(read_config(request.model)) or request.recipe.size
    if size is None:
        yield "memory             not modelled: neither config.json nor the recipe tells the network's size"
        return
    yield f"parameters         {size.parameters:,}"
    yield from estimate(request.settings, size, gpus=gpus, sharding=sharding).lines(gpus, sharding)
    if request.vllm and isinstance(request.settings, Grpo):
        yield f"  and vLLM takes {request.settings.vllm_memory:.0%} of each GPU"


def need_output(output: Path | None) -> Path:
    """The folder of -o; InputError when it was left out."""
    if output is None:
        raise InputError("give -o DIR, the folder for the model, log.jsonl, curves.png and manifest.json")
    return output
