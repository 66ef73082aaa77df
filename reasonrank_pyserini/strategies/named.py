"""Strategies by name, or as module:attribute, with their options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from ..errors import InputError, ReasonRankError, UnknownNameError, one_line
from ..lazy import resolve
from .ranking_strategy import RankingStrategy

_HERE = __name__.rpartition(".")[0]
STRATEGIES = {
    "groups": f"{_HERE}.groups:Groups",
    "passes": f"{_HERE}.sliding:Passes",
    "pointwise": f"{_HERE}.pointwise:Pointwise",
    "pooled": f"{_HERE}.pooled_windows:PooledWindows",
    "setwise": f"{_HERE}.setwise:Setwise",
    "single": f"{_HERE}.single_window:SingleWindow",
    "sliding": f"{_HERE}.sliding:SlidingWindow",
    "topdown": f"{_HERE}.top_down:TopDown",
    "tournament": f"{_HERE}.tournament:Tournament",
    "two-pass": f"{_HERE}.pointwise:TwoPass",
}
"""Where each named strategy is."""
_TRIED = 20
"""The number of candidates that the costs of a user's strategy are asked for."""
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def named_strategy(name: str, options: Mapping[str, Any]) -> RankingStrategy:
    """The strategy of that name (see `STRATEGIES`) or of a `module:attribute`, made with `options`.

    The attribute is a class or function that takes the options, or, where there are none, a finished strategy.
    Raises UnknownNameError for an unknown name or option, InputError for a value that the strategy cannot use.
    """
    found = resolve("strategy", name, STRATEGIES)
    if not callable(found):
        if options:
            raise InputError(f"strategy {name} is a finished object and takes no options: {_listed(options)}")
        return _checked(name, found)
    known = strategy_options(name)
    for option, value in options.items():
        if known is not None and option not in known:
            raise UnknownNameError(f"{name} option", option, known)
        _check_value(name, option, value, _types(found).get(option))
    try:
        made = found(**options)
    except ReasonRankError:
        raise
    except Exception as error:  # a user's code may raise anything
        reason = one_line(error) if isinstance(error, TypeError | ValueError) else _raised(error)
        raise InputError(f"strategy {name} cannot be made with {_listed(options)}: {reason}") from error
    return _checked(name, made)


def strategy_name(strategy: object) -> str:
    """What a user types for a strategy: the name of a built-in one, else its class as module:attribute."""
    kind = type(strategy)
    reference = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, known in STRATEGIES.items() if known == reference), reference)


def strategy_options(name: str) -> tuple[str, ...] | None:
    """The names of a strategy's options; None where it takes any. Raises as `named_strategy` for the name."""
    found = resolve("strategy", name, STRATEGIES)
    if not callable(found):
        return ()
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # some callables written in C
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(parameter.name for parameter in parameters if parameter.kind in named)


def _types(made_by: Any) -> dict[str, Any]:
    try:
        return get_type_hints(made_by)
    except (NameError, TypeError):  # a user's own annotations need not resolve
        return {}


def _check_value(name: str, option: str, value: object, hint: Any) -> None:
    """InputError where a value is not of the option's plain type; other types are the strategy's own affair."""
    allowed = get_args(hint) or (hint,)
    if not all(kind in _KINDS for kind in allowed):
        return
    if type(value) in allowed or (type(value) is int and float in allowed):
        return
    wanted = " or ".join(_KINDS[kind] for kind in allowed)
    raise InputError(f"strategy {name}: {option} is {value!r}, it must be {wanted}")


def _checked(name: str, made: object) -> RankingStrategy:
    missing = [
        part for part in ("rank", "calls", "rounds", "passages") if not callable(getattr(made, part, None))
    ]
    if missing or not isinstance(made, RankingStrategy):
        raise InputError(f"strategy {name} has no {', '.join(missing)}: see `strategies.RankingStrategy`")
    if name not in STRATEGIES:
        _check_costs(name, made)
    return made


def _check_costs(name: str, made: RankingStrategy) -> None:
    """InputError where the costs of a user's strategy are not numbers."""
    for part in ("calls", "rounds", "passages"):
        try:
            cost = getattr(made, part)(_TRIED)
        except Exception as error:
            raise InputError(f"strategy {name}: {part}({_TRIED}) failed: {_raised(error)}") from error
        if not isinstance(cost, int) or cost < 0:
            raise InputError(
                f"strategy {name}: {part}({_TRIED}) is {cost!r}, it must be a whole number from 0"
            )


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error, 160)}"


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items()) or "no options"
