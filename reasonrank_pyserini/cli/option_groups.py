"""Groups of options that reach a command as one typed record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[Any], Any]
"""What `click.option` returns."""


def add_options(options: Sequence[Option]) -> Callable[[F], F]:
    """A decorator that adds the options, each an argument of the command."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def option_group(name: str, options: Sequence[Option], build: Callable[..., Any]) -> Callable[[F], F]:
    """A decorator that adds the options and gives the command what `build` makes of their values, as `name`.

    `build` takes each option's value by the option's own name.
    """

    def add(command: F) -> F:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            own = {option: values.pop(option) for option in names}
            return command(**{name: build(**own)}, **values)

        inner = list(getattr(command, "__click_params__", ()))
        call.__click_params__ = []  # type: ignore[attr-defined]
        wrapped: Any = add_options(options)(call)
        names = [parameter.name for parameter in wrapped.__click_params__]
        wrapped.__click_params__[:0] = inner
        found: F = wrapped
        return found

    return add
