"""The engine options of `reproduce` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..reproduce import ModelOverrides
from .engine_options import DEFAULT_API, ENGINE_OPTIONS, engine_arguments
from .option_groups import option_group


def model_overrides(
    *, api: str | None, base_url: Sequence[str], engine_arg: Sequence[str], **given: Any
) -> ModelOverrides:
    """The engine options' values; what was left out comes from the condition."""
    arguments = engine_arguments(engine_arg)
    return ModelOverrides(api=api or DEFAULT_API, base_urls=tuple(base_url), engine_args=arguments, **given)


model_options = option_group("model", ENGINE_OPTIONS, model_overrides)
"""Adds the engine options and gives the command ModelOverrides as `model`."""
