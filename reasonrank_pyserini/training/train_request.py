"""The request for a training stage, and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .recipe import Grpo, Recipe, Sft
from .recipe_loading import load_recipe
from .rendering import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """A training stage: `data` and `model` by a `recipe`, into the folder `output`.

    `recipe`: a shipped name, a TOML file, or a Recipe; `overrides` are settings laid over it, such as
    `{"learning_rate": 1e-6, "grpo.rounds": 10}`. `data`: a file of examples, or Examples. `model`: a folder or a hub
    id; None takes the recipe's. `output` is not needed for an estimate. `resume` refuses to start from the beginning,
    `overwrite` removes another training in `output`. `vllm`: rollouts of GRPO come from vLLM. `command` is recorded
    in the manifest.
    """

    stage: Literal["sft", "grpo"]
    recipe: str | Path | Recipe
    data: str | Path | Sequence[Example]
    model: str | None = None
    output: str | Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    overwrite: bool = False
    vllm: bool = False
    command: tuple[str, ...] = ()

    def resolve(self) -> StageRequest:
        """The request with its recipe read and checked; InputError for a setting that cannot be used."""
        recipe = load_recipe(self.recipe, self.overrides, stage=self.stage)
        return StageRequest(self.stage, recipe, self.data, self.model or recipe.model, self.vllm)


@dataclass(frozen=True, slots=True)
class StageRequest:
    """A request whose recipe is read; `model` is a folder, a hub id, or "" for the recipe's own network."""

    kind: Literal["sft", "grpo"]
    recipe: Recipe
    data: str | Path | Sequence[Example]
    model: str
    vllm: bool = False

    @property
    def settings(self) -> Sft | Grpo:
        return self.recipe.stage(self.kind)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training: `last` holds the latest value of everything that was logged.

    `leader` is True in the process that wrote the folder; in the others `last` is empty.
    """

    folder: Path
    steps: int
    examples: Mapping[str, int]
    seconds: float
    last: Mapping[str, Any]
    leader: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The key figures as JSON can hold them."""
        return {
            "steps": self.steps,
            "examples": dict(self.examples),
            "seconds": self.seconds,
            "last": dict(self.last),
        }
