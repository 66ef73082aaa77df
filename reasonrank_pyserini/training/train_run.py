"""Runs one training stage from a request."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..jobs.saying import Say, silent
from . import grpo, sft
from .checkpoints import StageFolder
from .stage import rank
from .stage_running import train
from .train_request import TrainRequest, TrainResult


def run(request: TrainRequest, *, say: Say = silent) -> TrainResult:
    """Train into the request's folder; a stopped training continues from its last complete checkpoint.

    The folder then holds the model, log.jsonl, curves.png and manifest.json; a finished training is not repeated.
    Under torchrun or accelerate every process calls this, and the first one alone calls `say` with lines of
    progress. InputError for a request that cannot be trained.
    """
    stage = request.resolve()
    if request.output is None:
        raise InputError("give `output`, the folder for the model, log.jsonl, curves.png and manifest.json")
    output = Path(request.output)
    if request.resume and StageFolder(output, {}).resume_from is None:
        raise InputError(f"{output} holds no checkpoint: leave `resume` out to start from the beginning")
    if stage.kind == "grpo":
        grpo.check_processes(stage)
    if rank() != 0:
        say = silent
    build = sft.trainer if stage.kind == "sft" else grpo.trainer
    return train(stage, output, build, overwrite=request.overwrite, command=request.command, say=say)
