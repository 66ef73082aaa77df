"""Reads training recipes: shipped, or a user's TOML file, with settings laid over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
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


def load_recipe(
    given: str | Path | Recipe, overrides: Mapping[str, Any] = MappingProxyType({}), *, stage: str = "sft"
) -> Recipe:
    """A shipped recipe, a TOML file or a Recipe, with settings laid over it.

    A file with `extends = "7b"` needs only what differs. `overrides` are settings by `key`, which belongs to
    `stage`, or by `stage.key`. InputError for settings that cannot be used.
    """
    recipe = given if isinstance(given, Recipe) else _read(str(given))
    for key, value in overrides.items():
        recipe = _overridden(recipe, key, value, stage)
    check_recipe(recipe)
    return recipe


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Settings by key from texts `key=value`, the values in TOML or as plain text."""
    settings = {}
    for given in texts:
        key, equals, value = given.partition("=")
        if not equals:
            raise InputError(f"setting {given!r}: write key=value")
        settings[key.strip()] = parse_value(value.strip())
    return settings


def _read(name: str) -> Recipe:
    return _built(read_toml(name, "recipe")) if name.endswith(".toml") else _shipped(name)


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


def _overridden(recipe: Recipe, setting: str, value: Any, stage: str) -> Recipe:
    table, dot, name = setting.rpartition(".")
    part = table if dot else stage
    if part not in STAGES:
        raise InputError(f"setting {setting!r}: {UnknownNameError('stage', part, STAGES)}")

    def error(key: str, problem: str, within: str) -> InputError:
        return InputError(f"setting {setting!r}: {problem}")

    settings = check_table({name: value}, STAGE_RULES[part], error)
    values: dict[str, Any] = {part: replaced(recipe.stage(part), settings)}
    return dataclasses.replace(recipe, **values)
