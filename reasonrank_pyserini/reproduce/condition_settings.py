"""The settings that a condition was published with, and the calls that they take."""

from __future__ import annotations

from typing import Any

from ..models.profiles import find_profile
from ..ranking.model_request import SettingOverrides
from ..ranking.setting_effects import Judging, without_effect
from ..ranking.settings import Settings
from .conditions import Condition

PUBLISHED_SETTINGS = ("window", "step", "passes", "depth", "passage_tokens")
"""Settings that a condition has."""


def published_settings(condition: Condition, strategy: str, judge: Judging) -> dict[str, Any]:
    """The condition's settings that have an effect with a strategy and a judge, by name."""
    names = PUBLISHED_SETTINGS if condition.window else ("depth",)
    values = {name: getattr(condition, name) for name in names if getattr(condition, name)}
    unused = without_effect(values, strategy, judge)
    return {name: value for name, value in values.items() if name not in unused}


def calls(condition: Condition) -> int | None:
    """Model calls for a query with `depth` candidates, by strategy and judge; None without a model.

    An upper bound where the strategy's calls vary.
    """
    if condition.model is None:
        return None
    profile, _ = find_profile(condition.model)
    published = published_settings(condition, profile.strategy, profile.judge.kind)
    return Settings.resolve(profile, SettingOverrides.named(published)).calls(condition.depth)
