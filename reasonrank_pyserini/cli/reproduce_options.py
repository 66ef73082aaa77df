"""Options that `reproduce`, `verify` and `fetch` share."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..reproduce import ModelOverrides
from .engine_options import ENGINE_OPTIONS, engine_arguments
from .option_groups import option_group
from .option_names import with_options


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


def say(line: str) -> None:
    """A line of the library for the user, on standard error."""
    click.echo(f"reasonrank: {with_options(line)}", err=True)
