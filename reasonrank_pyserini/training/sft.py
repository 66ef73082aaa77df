"""Supervised fine-tuning on reasoning chains: the loss is on the answer and its end token alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..lazy import require
from . import stage
from . import stage_running as running
from .checkpoints import StageFolder
from .recipe import Sft


def train(
    request: stage.Request,
    output: str | Path,
    *,
    overwrite: bool = False,
    command: Sequence[str] = (),
    say: running.Say = lambda line: None,
) -> dict[str, Any]:
    """Fine-tune into `output` and return its key figures; continues from the last whole checkpoint.

    `output` then holds the model, log.jsonl, curves.png and manifest.json. Under torchrun or accelerate every
    process calls this.
    """
    return running.train(request, output, trainer, overwrite=overwrite, command=command, say=say)


def trainer(prepared: stage.Prepared, folder: StageFolder, base: Path, callbacks: list[Any]) -> Any:
    """TRL's trainer over token ids that are ready: nothing is tokenised, cut or masked by it."""
    trl = require("trl", "training")
    dataset = require("datasets", "training").Dataset.from_list([e.sft_columns() for e in prepared.examples])
    settings = prepared.request.settings
    assert isinstance(settings, Sft)
    arguments = stage.shared_arguments(settings, folder)
    return trl.SFTTrainer(
        model=str(base),
        args=trl.SFTConfig(
            **arguments,
            num_train_epochs=settings.epochs,
            max_length=None,
            train_sampling_strategy="sequential" if settings.order == "given" else "random",
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=dataset,
        processing_class=prepared.tokenizer,
        peft_config=stage.adapter(settings),
        callbacks=callbacks,
    )
