"""The final orders of many queries, kept small until they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


class Orders(Mapping[str, tuple[str, ...]]):
    """Docids by query, best first; each query's are one text: a third of the memory of as many strings.

    Queries keep the order given; a query has no docids before they are set.
    """

    def __init__(self, queries: Iterable[str]) -> None:
        self._joined = dict.fromkeys(queries, "")

    def __getitem__(self, query: str) -> tuple[str, ...]:
        joined = self._joined[query]
        return tuple(joined.split("\n")) if joined else ()

    def __setitem__(self, query: str, ids: Sequence[str]) -> None:
        self._joined[query] = "\n".join(ids)  # ids of runs and requests contain no line breaks

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)


class Renamed(Mapping[str, list[str]]):
    """A run with every docid as `name` writes it, renamed when it is read."""

    def __init__(self, run: Mapping[str, Sequence[str]], name: Callable[[str], str]) -> None:
        self._run, self._name = run, name

    def __getitem__(self, query: str) -> list[str]:
        return [self._name(id) for id in self._run[query]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._run)

    def __len__(self) -> int:
        return len(self._run)
