"""Reads training recipes: shipped, or a user's TOML file, with settings laid over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError
from ..files.toml_tables import (
    TomlFile,
    check_table,
    parse_value,
    read_toml,
    replaced,
    shipped_names,
    shipped_toml,
)
from .network import Network
from .recipe import STAGES, Difference, Recipe, Size
from .recipe_checks import (
    DIFFERENCE_RULES,
    NETWORK_RULES,
    RECIPE_RULES,
    SIZE_RULES,
    STAGE_RULES,
    check_recipe,
)

_RECIPES = f"{__package__}.recipes"


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes."""
    return shipped_names(_RECIPES)


def load_recipe(name: str, overrides: Iterable[str] = (), *, stage: str = "sft") -> Recipe:
    """A shipped recipe or a TOML file, with `key=value` and `stage.key=value` laid over it.

    A file with `extends = "7b"` needs only what differs. A key without a stage belongs to `stage`.
    """
    recipe = _built(read_toml(name, "recipe")) if name.endswith(".toml") else _shipped(name)
    for override in overrides:
        recipe = _overridden(recipe, override, stage)
    check_recipe(recipe)
    return recipe


def _shipped(name: str) -> Recipe:
    if name not in recipe_names():
        raise UnknownNameError("recipe", name, recipe_names(), "or give a file, such as mine.toml")
    return _built(shipped_toml(_RECIPES, name))


def _built(file: TomlFile) -> Recipe:
    values = file.check(file.values, RECIPE_RULES)
    base = _shipped(values.pop("extends")) if "extends" in values else Recipe("", "", "")
    values.setdefault("name", Path(file.path).stem)
    for stage in STAGES:
        if stage in values:
            settings = file.check(values[stage], STAGE_RULES[stage], within=stage)
            values[stage] = replaced(base.stage(stage), settings)
    if "size" in values:
        values["size"] = Size(**file.check(values["size"], SIZE_RULES, within="size", needs=SIZE_RULES))
    if "network" in values:
        settings = file.check(values["network"], NETWORK_RULES, within="network")
        values["network"] = replaced(base.network or Network(), settings)
    if "differences" in values:
        values["differences"] = tuple(
            Difference(**file.check(item, DIFFERENCE_RULES, within="differences", needs=DIFFERENCE_RULES))
            for item in values["differences"]
        )
    return dataclasses.replace(base, **values)


def _overridden(recipe: Recipe, override: str, stage: str) -> Recipe:
    key, equals, value = override.partition("=")
    table, dot, name = key.strip().rpartition(".")
    if not equals or (dot and table not in STAGES):
        raise InputError(f"setting {override!r}: write key=value or {stage}.key=value")

    def error(key: str, problem: str, within: str) -> InputError:
        return InputError(f"setting {override!r}: {problem}")

    part = table or stage
    settings = check_table({name: parse_value(value.strip())}, STAGE_RULES[part], error)
    values: dict[str, Any] = {part: replaced(recipe.stage(part), settings)}
    return dataclasses.replace(recipe, **values)
