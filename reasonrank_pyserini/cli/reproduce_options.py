"""The engine options of `reproduce` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence

from ..reproduce import ModelOverrides
from .engine_options import ENGINE_OPTIONS, engine_arguments
from .option_groups import option_group


def model_overrides(
    *,
    model: str | None,
    revision: str | None,
    tokenizer: str | None,
    profile: str | None,
    engine: str | None,
    base_url: Sequence[str],
    api: str,
    engine_arg: Sequence[str],
) -> ModelOverrides:
    """The engine options' values; what was left out comes from the condition."""
    return ModelOverrides(
        model=model, revision=revision, tokenizer=tokenizer, profile=profile, engine=engine,
        base_urls=tuple(base_url), api=api, engine_args=engine_arguments(engine_arg),
    )  # fmt: skip


model_options = option_group("model", ENGINE_OPTIONS, model_overrides)
"""Adds the engine options and gives the command ModelOverrides as `model`."""
