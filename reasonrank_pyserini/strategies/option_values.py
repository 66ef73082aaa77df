"""Checks of a strategy's options."""

from __future__ import annotations

from ..errors import InputError

MOST = 10_000
"""The largest number of windows of a query that an option may ask for."""


def check_least(strategy: str, values: dict[str, tuple[int, int]]) -> None:
    """InputError for a value below its least; `values` gives both by the option's name."""
    for name, (value, least) in values.items():
        if value < least:
            raise InputError(f"strategy {strategy}: {name} is {value}, it must be {least} or more")


def check_most(strategy: str, **values: int) -> None:
    """InputError for a number of windows above `MOST`, which is taken for a mistake in typing."""
    for name, value in values.items():
        if value > MOST:
            raise InputError(f"strategy {strategy}: {name} is {value}, it must be {MOST} or less")


def check_budget(strategy: str, budget: int | None) -> None:
    """InputError for a budget of no calls."""
    if budget is not None:
        check_least(strategy, {"budget": (budget, 1)})
