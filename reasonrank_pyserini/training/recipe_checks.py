"""What the settings of a recipe must be: one rule a key, and what they must be together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..files.toml_tables import (
    Rule,
    check_table,
    list_of,
    number,
    one_of,
    table,
    text,
    text_or_empty,
    truth,
    whole,
)
from .network import Network
from .recipe import STAGES, Difference, Grpo, Recipe, Sft, Size

_SPECIAL: Mapping[str, Rule] = {
    "method": one_of("full", "lora"),
    "precision": one_of("bfloat16", "float32"),
    "scheduler": one_of("constant", "cosine", "linear", "constant_with_warmup"),
    "loss": one_of("grpo", "bnpo", "dapo", "dr_grpo"),
    "order": one_of("shuffled", "given"),
    "rollouts": whole(2),  # a group is compared with itself
    "adam_beta1": number(0, 1, below=True),
    "adam_beta2": number(0, 1, below=True),
}
_MAY_BE_ZERO = {"warmup", "weight_decay", "steps", "beta", "top_k", "seed", "max_grad_norm", "learning_rate",
                "recall_weight", "rbo_weight", "matching", "copying"}  # fmt: skip


def _rule(field: dataclasses.Field[Any]) -> Rule:
    """A setting's rule, by the type of its default."""
    zero = field.name in _MAY_BE_ZERO
    if field.name in _SPECIAL:
        return _SPECIAL[field.name]
    if isinstance(field.default, bool):
        return truth
    return number(0, above=not zero) if isinstance(field.default, float) else whole(0 if zero else 1)


STAGE_RULES = {
    "sft": {field.name: _rule(field) for field in dataclasses.fields(Sft)},
    "grpo": {field.name: _rule(field) for field in dataclasses.fields(Grpo)},
}
NETWORK_RULES = {field.name: _rule(field) for field in dataclasses.fields(Network)}
SIZE_RULES = {field.name: whole(1) for field in dataclasses.fields(Size)}
DIFFERENCE_RULES = {field.name: text for field in dataclasses.fields(Difference)} | {"stage": one_of(*STAGES)}
RECIPE_RULES: Mapping[str, Rule] = {
    "name": text,
    "extends": text,
    "model": text_or_empty,
    "note": text_or_empty,
    "size": table,
    "network": table,
    "sft": table,
    "grpo": table,
    "differences": list_of(table, "a list of tables"),
}


def check_recipe(recipe: Recipe) -> None:
    """InputError with the recipe's name for settings that no trainer takes, alone or together."""

    def error(key: str, problem: str, within: str = "") -> InputError:
        return InputError(f"recipe {recipe.name}: {problem}")

    for stage in STAGES:
        check_table(dataclasses.asdict(recipe.stage(stage)), STAGE_RULES[stage], error, within=stage)
    grpo, network = recipe.grpo, recipe.network
    sampled = grpo.prompts * grpo.rollouts
    if sampled % grpo.batch:
        problem = f"grpo.batch {grpo.batch} does not divide a round's {sampled} sequences"
        raise error("batch", f"{problem} ({grpo.prompts} prompts x {grpo.rollouts} rollouts)")
    if grpo.save_steps % grpo.rounds_updates:
        problem = f"grpo.save_steps is {grpo.save_steps}: checkpoints fall between rounds, so it must be"
        raise error("save_steps", f"{problem} a multiple of {grpo.rounds_updates}")
    if network is not None:
        check_table(dataclasses.asdict(network), NETWORK_RULES, error, within="network")
        if network.width % (heads := 2 * network.heads):
            problem = f"network.width is {network.width}: {network.heads} heads need a multiple of {heads}"
            raise error("width", problem)
