"""Whose turn it is: carried beside a model call, from the scheduler to the engine, and never part of the call."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 256
"""Places in a queue that a round still to go is worth."""

CALLER = 16 * PATIENCE
"""Places that doubling what a caller has under way costs: more than the rounds of any usual query are worth."""


@dataclass(frozen=True, slots=True)
class CallPriority:
    """Who asks, and how many rounds its query still has to go, this one included; rounds wait for one another."""

    caller: Hashable = None
    rounds: int = 1


TURN: ContextVar[CallPriority] = ContextVar("turn", default=CallPriority())  # noqa: B039 (frozen)
"""Set by the scheduler around a judge's work, read by the gate."""
ENGINE_PRIORITY: ContextVar[int] = ContextVar("place", default=0)
"""Set by the gate around an engine's work, for engines that have a queue of their own: lower goes first."""


@contextmanager
def context_value(variable: ContextVar[T], value: T) -> Iterator[None]:
    """In the block, and in tasks that are made in it, the variable has that value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
