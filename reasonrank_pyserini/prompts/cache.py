"""A thread-safe cache with an upper bound on its size in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar


class Sized(Protocol):
    """Something that knows its approximate size in bytes."""

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Sized)


class BoundedCache:
    """Results by key; the least recently used are dropped when all together exceed `capacity` bytes.

    Two threads that miss the same key at the same time both make the result, since no lock is held meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size = capacity, 0
        self._items: OrderedDict[Hashable, Sized] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for the key, or else `make()`, which is kept unless it is larger than the cache."""
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
