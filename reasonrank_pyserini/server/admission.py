"""How many requests may be under way, and which are refused when there are too many."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from .refusal import Refusal

LONGEST_WAIT = 30
"""The longest wait, in seconds, that a refusal asks for."""
MEMORY = 0.9
"""The weight of what was known in the running mean of a request's seconds."""


class Admission:
    """Counts the requests under way and admits at most `most()`, and beyond that callers with less than their share.

    The share of each of k callers is `most()` / k, so one caller that fills the server cannot keep others out. All
    together never have more than twice `most()`. Used in one event loop.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self.most = most
        self.under_way: Counter[Hashable] = Counter()
        self._seconds = 1.0

    @property
    def total(self) -> int:
        """The requests under way."""
        return self.under_way.total()

    @contextmanager
    def place(self, caller: Hashable) -> Iterator[None]:
        """Count a request while the block runs; Refusal 429, without waiting, when there is no room."""
        if not self._room(caller):
            wait = min(LONGEST_WAIT, max(1, math.ceil(self._seconds)))
            raise Refusal(
                429,
                f"the server is full ({self.total} requests under way): try again in {wait} s",
                "Overloaded",
                {"Retry-After": str(wait)},
            )
        self.under_way[caller] += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds = MEMORY * self._seconds + (1 - MEMORY) * (time.monotonic() - started)
            self.under_way[caller] -= 1
            if not self.under_way[caller]:
                del self.under_way[caller]

    def _room(self, caller: Hashable) -> bool:
        most, callers = self.most(), len(self.under_way.keys() | {caller})
        if self.total < most:
            return True
        return self.under_way[caller] < most // callers and self.total < 2 * most
