"""What the settings of a recipe must be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from .network import Network
    from .recipe import Grpo, Recipe

_CHOICES = {
    "method": ("full", "lora"),
    "precision": ("bfloat16", "float32"),
    "scheduler": ("constant", "cosine", "linear", "constant_with_warmup"),
    "loss": ("grpo", "bnpo", "dapo", "dr_grpo"),
    "order": ("shuffled", "given"),
}
_MAY_BE_ZERO = {"warmup", "weight_decay", "steps", "beta", "top_k", "seed", "max_grad_norm", "learning_rate",
                "recall_weight", "rbo_weight", "adam_beta1", "adam_beta2", "matching", "copying"}  # fmt: skip


def check(name: str, recipe: Recipe) -> None:
    """InputError with the recipe's name for a value that no trainer takes, and for rounds that do not come out even."""
    for stage in ("sft", "grpo"):
        settings = recipe.stage(stage)
        for item in dataclasses.fields(settings):
            value = getattr(settings, item.name)
            if item.name in _CHOICES and value not in _CHOICES[item.name]:
                raise InputError(
                    f"recipe {name}: {stage}.{UnknownNameError(item.name, value, _CHOICES[item.name])}"
                )
            if isinstance(value, int | float) and not isinstance(value, bool):
                _check_number(name, stage, item.name, value)
        for beta in ("adam_beta1", "adam_beta2"):
            if getattr(settings, beta) >= 1:
                raise InputError(
                    f"recipe {name}: {stage}.{beta} is {getattr(settings, beta)}: it must be below 1"
                )
    _check_rounds(name, recipe.grpo)
    if recipe.network is not None:
        _check_network(name, recipe.network)


def _check_number(name: str, stage: str, key: str, value: float) -> None:
    least = 0 if key in _MAY_BE_ZERO else 1e-12
    if not least <= value < float("inf"):
        raise InputError(f"recipe {name}: {stage}.{key} is {value}: it must be above 0")


def _check_network(name: str, network: Network) -> None:
    for item in dataclasses.fields(network):
        _check_number(name, "network", item.name, getattr(network, item.name))
    if network.width % (2 * network.heads):
        raise InputError(
            f"recipe {name}: network.width is {network.width}: {network.heads} heads need a multiple of "
            f"{2 * network.heads}"
        )


def _check_rounds(name: str, grpo: Grpo) -> None:
    sampled = grpo.prompts * grpo.rollouts
    if grpo.rollouts < 2:
        raise InputError(f"recipe {name}: grpo.rollouts is {grpo.rollouts}: a group needs at least 2")
    if sampled % grpo.batch:
        raise InputError(
            f"recipe {name}: grpo.batch {grpo.batch} does not divide a round's {sampled} sequences "
            f"({grpo.prompts} prompts x {grpo.rollouts} rollouts)"
        )
    if grpo.save_steps % grpo.rounds_updates:
        raise InputError(
            f"recipe {name}: grpo.save_steps is {grpo.save_steps}: checkpoints fall between rounds, so it must "
            f"be a multiple of {grpo.rounds_updates}"
        )
