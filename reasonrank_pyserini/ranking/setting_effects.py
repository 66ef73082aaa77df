"""Which settings have an effect with which strategy and which judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from ..errors import InputError
from ..models.profiles import JudgeSettings
from ..prompts.answers import JudgeKind
from ..strategies import STRATEGIES, strategy_options

Judging = JudgeKind | Literal["oracle"]
MODELS: tuple[JudgeKind, ...] = ("listwise", "groupwise", "setwise", "pointwise")
STRATEGY_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "window": ("size", "children"),
    "step": ("step",),
    "passes": ("passes",),
    "budget": ("budget",),
}
"""Settings that are options of strategies as well, and the names of these."""
JUDGE_SETTINGS: Mapping[str, tuple[Judging, ...]] = {
    **dict.fromkeys(
        ("style", "passage_tokens", "reasoning_tokens", "answer_tokens", "temperature", "top_p", "top_k", "min_p"),
        MODELS,
    ),
    **dict.fromkeys(("force_answer", "constrained", "answer_k"), ("listwise",)),
}  # fmt: skip
"""Settings that only some judges use, and which; every other setting has an effect with all judges."""
OFF = {"constrained": False, "answer_k": 0}
"""Values that ask for nothing."""


def without_effect(
    given: Mapping[str, Any], strategy: str, judge: Judging, *, options: Collection[str] | None = None
) -> list[str]:
    """The names of the settings in `given` that change nothing.

    `options`: those of the strategy, where they are not those of its name.
    """
    return [
        name
        for name, value in given.items()
        if OFF.get(name) != value
        and not (
            _strategy_has(strategy, name, judge, options) and judge in JUDGE_SETTINGS.get(name, (judge,))
        )
    ]


def check_effects(
    given: Mapping[str, Any],
    strategy: str,
    judging: JudgeSettings | None,
    *,
    options: Collection[str] | None = None,
) -> None:
    """InputError for a setting that the user gave and that changes nothing, or that is given twice.

    `judging`: None is an oracle. `options` as for `without_effect`.
    """
    judge: Judging = "oracle" if judging is None else judging.kind
    for name in without_effect(given, strategy, judge, options=options):
        if judge not in JUDGE_SETTINGS.get(name, (judge,)):
            raise InputError(_not_of_judge(name, judge, judging))
        raise InputError(_not_of_strategy(name, strategy, judge, options))
    twice = [
        (name, option)
        for name, known in STRATEGY_SETTINGS.items()
        for option in known
        if name in given and option in (given.get("strategy_args") or {})
    ]
    for name, option in twice:
        raise InputError(
            f"`{name}` is given twice, also as {option} in `strategy_args` of strategy {strategy}: give one of them"
        )


def _strategy_has(strategy: str, setting: str, judge: Judging, options: Collection[str] | None) -> bool:
    if setting not in STRATEGY_SETTINGS:
        return True
    known = (strategy_options(strategy) or ()) if options is None else options
    if any(option in known for option in STRATEGY_SETTINGS[setting]):
        return True
    # a user's own strategy shows windows of at most this size, which decides the context
    return setting == "window" and strategy not in STRATEGIES and judge not in ("pointwise", "oracle")


def _not_of_strategy(setting: str, strategy: str, judge: Judging, options: Collection[str] | None) -> str:
    able = [name for name in sorted(STRATEGIES) if _strategy_has(name, setting, judge, None)]
    has = [f"`{name}`" for name in STRATEGY_SETTINGS if _strategy_has(strategy, name, judge, options)]
    return (
        f"strategy {strategy} takes no `{setting}`; those that do: {', '.join(able)} "
        f"(of such settings {strategy} takes {', '.join(has) or 'none'})"
    )


def _not_of_judge(setting: str, judge: Judging, judging: JudgeSettings | None) -> str:
    who = "`judge` oracle" if judging is None else f"a {judge} judge (reading {judging.reading!r})"
    able = JUDGE_SETTINGS[setting]
    kinds = "models" if able == MODELS else f"{' and '.join(able)} judges"
    own = [f"`{name}`" for name, kinds in JUDGE_SETTINGS.items() if judge in kinds]
    has = f"it takes {', '.join(own)}" if own else "it takes `depth`, `seed` and the settings of the strategy"
    return f"{who} takes no `{setting}`, which is for {kinds}; {has}"
