"""The priority of model calls, passed in context variables from the scheduler to the engine."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 256
"""Queue positions gained for each round left."""

CALLER = 16 * PATIENCE
"""Queue positions lost when a caller's calls in flight double: more than the rounds of any usual query gain."""


@dataclass(frozen=True, slots=True)
class CallPriority:
    """The caller, and how many rounds its query has left, this one included; each round needs the one before."""

    caller: Hashable = None
    rounds: int = 1


TURN: ContextVar[CallPriority] = ContextVar("turn", default=CallPriority())  # noqa: B039 (frozen)
"""Set by the scheduler around each judgement, read by ThrottledEngine."""
ENGINE_PRIORITY: ContextVar[int] = ContextVar("place", default=0)
"""Set by ThrottledEngine around each call, for engines with their own queue: lower goes first."""


@contextmanager
def context_value(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set the variable for the block and for tasks created in it."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
