"""The Servers seam: where an engine's servers are, which may change while calls are under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..types import Sampling


class Watcher(Protocol):
    """The user of the servers; both methods are called in the event loop."""

    def changed(self) -> None:
        """The addresses have changed, or it is now certain that no more will come."""
        ...

    def answers(self, url: str) -> int:
        """How many complete answers the server at that address has given."""
        ...


class Servers(Protocol):
    """The servers of one engine, from `start` to `stop`, in one event loop.

    `start` returns at once where somebody else runs the servers; where it starts them, once one is ready, and raises
    EngineError or InputError when none can be. Afterwards every change is reported to the watcher. `addresses`: base
    URLs of the servers that take calls now, in a fixed order; an address that was removed gets no further calls, and
    calls under way there may finish if the servers `drain`, else they are asked elsewhere at once. `ended`: why no
    further address will come, None while one may. `stop` ends everything that `start` began, also after a failure.
    """

    @property
    def drain(self) -> bool: ...

    async def start(self, watcher: Watcher) -> None: ...

    def addresses(self) -> Sequence[str]: ...

    def ended(self) -> str | None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FixedServers:
    """Servers that somebody else runs, at addresses that do not change."""

    urls: tuple[str, ...]
    drain: bool = True

    async def start(self, watcher: Watcher) -> None:
        """Nothing to start."""

    def addresses(self) -> Sequence[str]:
        return self.urls

    def ended(self) -> str | None:
        return "the addresses are fixed"

    async def stop(self) -> None:
        """Nothing to stop."""


@dataclass(frozen=True, slots=True)
class OwnServers:
    """What an engine that starts its own servers gives: their key, the requests that each takes at a time, and what it
    adds to the body of a request."""

    key: str = field(repr=False)
    requests: int
    fields: Callable[[Sampling], Mapping[str, Any]]
