"""The settings and limits of a server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The largest request that is accepted.

    `body`: bytes. `query_characters`: of the query; tokenising a long one delays the prompts of all callers.
    `characters`: of the query and all documents together. `reasoning_characters`: how much of a window's reasoning is
    returned.
    """

    body: int = 8 * 2**20
    documents: int = 1000
    query_characters: int = 32_000
    characters: int = 2_000_000
    reasoning_characters: int = 20_000

    def check(self) -> None:
        """InputError for a limit below 1."""
        for name in ("body", "documents", "query_characters", "characters"):
            if getattr(self, name) < 1:
                raise InputError(f"the limit {name} is {getattr(self, name)}: it must be at least 1")


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the name of its caller; the repr leaves out the token."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model as clients see it: `name` in replies, `settings` of the reranking by name in /info.

    `context`: tokens of a prompt and its answer together, 0 if unknown.
    """

    name: str
    revision: str | None = None
    engine: str = ""
    context: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How requests are answered.

    `deadline`: the default, in seconds; `max_deadline`: the longest that a request may ask for. `queue`: requests that
    may wait while the engine is full; further ones are refused. `tokens`: if empty, no token is required.
    """

    model: ServedModel
    deadline: float = 25.0
    max_deadline: float = 300.0
    queue: int = 32
    limits: ServerLimits = field(default_factory=ServerLimits)
    tokens: tuple[Token, ...] = ()

    def check(self) -> None:
        """InputError for values that cannot work."""
        for name in ("deadline", "max_deadline"):
            seconds = getattr(self, name)
            if not 0 < seconds < math.inf:
                raise InputError(f"`{name}` is {seconds}: it must be a number of seconds above 0")
        if self.queue < 0:
            raise InputError(f"`queue` is {self.queue}: it must be 0 or more")
        self.limits.check()

    @property
    def longest_deadline(self) -> float:
        """The longest deadline of any request."""
        return max(self.deadline, self.max_deadline)
