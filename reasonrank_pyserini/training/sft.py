"""Supervised fine-tuning on reasoning chains: the loss is on the answer and its end token alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..lazy import require
from . import stage
from .checkpoints import StageFolder
from .recipe import Sft


def trainer(prepared: stage.Prepared, folder: StageFolder, base: Path, callbacks: list[Any]) -> Any:
    """TRL's trainer over finished token ids: it tokenises, cuts and masks nothing."""
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
