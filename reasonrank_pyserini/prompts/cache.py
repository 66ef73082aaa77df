"""A cache with an upper bound on what it holds, for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar


class Sized(Protocol):
    """Something that knows about how many bytes it takes."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


class BoundedCache:
    """Results by key; the ones used longest ago leave when all together take more than `capacity` bytes.

    Two threads that miss the same key at the same time both make it: making holds no lock.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size = capacity, 0
        self._items: OrderedDict[Hashable, Sized] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is there for the key, else what `make()` gives; larger than the cache, it is not kept."""
        with self._lock:
            found = self._items.get(key)
            if found is not None:
                self._items.move_to_end(key)
                return found  # type: ignore[return-value]  # a key always stands for one type
        made = make()
        with self._lock:
            if key not in self._items and made.size <= self.capacity:
                self._items[key] = made
                self.size += made.size
                while self.size > self.capacity:
                    self.size -= self._items.popitem(last=False)[1].size
        return made
