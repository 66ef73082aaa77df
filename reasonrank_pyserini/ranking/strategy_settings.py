"""The strategy that settings name, with the settings that it shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError, UnknownNameError
from ..prompts.answers import JudgeKind
from ..strategies import RankingStrategy, Sampled, named_strategy, strategy_options
from .setting_effects import STRATEGY_SETTINGS

DEFAULT_STRATEGY = "sliding"
"""The strategy of ReasonRank's paper; its window, step and passes come from the profile."""
FOLDED = {"size": "window", "step": "step", "passes": "passes"}
"""Options of strategies that are settings as well, and the names of these."""


def drop_replaced(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Remove a profile's options of the strategy from `values` where the user gave the setting instead."""
    if "strategy_args" not in given:
        replaced = {
            option for name in STRATEGY_SETTINGS if name in given for option in STRATEGY_SETTINGS[name]
        }
        options = values.get("strategy_args") or {}
        values["strategy_args"] = {name: value for name, value in options.items() if name not in replaced}


def fold_options(values: dict[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Move options of the strategy that are settings as well to these, so that one strategy is written in one way.

    A single pass of a strategy that makes more by default stays an option. Changes `values`; gives the names of the
    settings that were set.
    """
    values["strategy_args"] = options = dict(values.get("strategy_args") or {})
    name = values.get("strategy") or DEFAULT_STRATEGY
    folded = set[str]()
    for option, setting in FOLDED.items():
        own = option != "passes" or name == DEFAULT_STRATEGY
        if own and option in (strategy_options(name) or ()) and type(options.get(option)) is int:
            values[setting] = options.pop(option)
            folded.add(setting)
    if given.get("passes") == 1 and name != DEFAULT_STRATEGY and "passes" in (strategy_options(name) or ()):
        options.setdefault("passes", 1)
    if type(options.get("children")) is int and name == "setwise":
        values["window"] = options.pop("children") + 1
        folded.add("window")
    return folded


def make_strategy(name: str, options: Mapping[str, Any], shared: Mapping[str, Any]) -> RankingStrategy:
    """The strategy with its own options, and with those of `shared` that it has; `options` win.

    `samples`, which every listwise strategy takes, judges each window `samples` times (see `strategies.Sampled`); a
    budget pays for all of them. Raises as `strategies.named_strategy`.
    """
    known = strategy_options(name) or ()
    given = {**{option: value for option, value in shared.items() if option in known}, **options}
    for option in given:
        if known and option not in (*known, "samples"):
            raise UnknownNameError(f"{name} option", option, (*known, "samples"))
    if "samples" not in given or "samples" in known:
        return named_strategy(name, given)
    if shared.get("compat"):
        raise InputError(f"strategy {name}: `compat` judges every window once: leave `compat` or samples out")
    samples = given.pop("samples")
    if type(samples) is not int or samples < 1:
        raise InputError(f"strategy {name}: samples is {samples!r}, it must be a whole number from 1")
    if given.get("budget") is not None:
        given["budget"] = _budget_of_windows(name, given["budget"], samples)
    made = named_strategy(name, given)
    if getattr(made, "needs_scores", False):
        raise InputError(f"strategy {name} takes no samples: two-pass does")
    return made if samples == 1 else Sampled(made, samples, int(shared.get("seed", 0)))


def _budget_of_windows(name: str, calls: int, samples: int) -> int:
    """How many windows a budget of calls pays for; InputError for none."""
    if calls < samples:
        raise InputError(
            f"strategy {name}: a budget of {calls} calls is less than the {samples} samples of one window"
        )
    return calls // samples


def check_finished(strategy: RankingStrategy, given: Mapping[str, Any]) -> None:
    """InputError for given settings that make a strategy, where the user gives a finished one."""
    makes = ("strategy_args", *(name for name in STRATEGY_SETTINGS if name != "window"))
    if unused := [f"`{name}`" for name in makes if name in given]:
        name = type(strategy).__name__
        raise InputError(
            f"`strategy` is a finished {name}, which takes no {', '.join(unused)}: make it with them"
        )


def check_scores_come(name: str, strategy: RankingStrategy, style: str, kind: JudgeKind) -> None:
    """InputError where the strategy of that name orders by scores and the model's answers have none."""
    if getattr(strategy, "needs_scores", False) and kind in ("listwise", "setwise"):
        raise InputError(
            f"`strategy` {name} orders passages by their scores; answers in style {style!r} "
            "are orders without scores: choose another strategy, such as pooled"
        )
