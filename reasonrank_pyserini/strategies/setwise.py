"""Setwise: a heapsort whose comparisons each show a node of the heap with all its children."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..types import Flow, ParseStatus, Verdict, Window
from .option_values import check_least
from .verdict_orders import apply_verdicts


@dataclass(frozen=True, slots=True)
class Setwise:
    """The best `k` by a heapsort whose nodes have `children` children; the others follow in first-stage order.

    A window shows a node first, then its children; only the judge's first choice counts. An unreadable answer leaves
    the choice to the first stage. Nodes of one level of the heap are compared in parallel while it is built. A judge
    without errors gives the true best `k`. Cost: an upper bound, as a sift ends early where a node stays.

    `compat` is Rank-R1's heapsort: one comparison at a time, and an unreadable answer leaves the node where it is, so
    that a silent model brings the last candidates to the top. (That code also shuffles every window, from one random
    stream for all queries.) Source: github ielab/llm-rankers at b36517bf.
    """

    varies: ClassVar[bool] = True

    k: int = 10
    children: int = 19
    compat: bool = False

    def __post_init__(self) -> None:
        check_least("setwise", {"k": (self.k, 1), "children": (self.children, 1)})

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: the heap is built, then its root is taken `k` times."""
        heap, top = list(range(n)), list[int]()
        for nodes in self._building(n):
            yield from self._sifted(heap, nodes)
        while heap and len(top) < self.k:
            heap[0], heap[-1] = heap[-1], heap[0]
            top.append(heap.pop())
            if len(top) < self.k:
                yield from self._sifted(heap, [0])
        taken = set(top)
        return (*top, *(candidate for candidate in range(n) if candidate not in taken))

    def calls(self, n: int) -> int:
        """The most comparisons."""
        return sum(len(shown) for nodes in self._longest(n) for shown in nodes)

    def rounds(self, n: int) -> int:
        """The most rounds."""
        return sum(max(len(shown) for shown in nodes) for nodes in self._longest(n))

    def passages(self, n: int) -> int:
        """The most passages shown."""
        return sum(sum(shown) for nodes in self._longest(n) for shown in nodes)

    def _building(self, n: int) -> list[list[int]]:
        """The nodes with children, in the groups that are sifted together, the lowest first."""
        last = (n - 2) // self.children if n > 1 else -1
        if self.compat:
            return [[node] for node in range(last, -1, -1)]
        levels, begin, width = list[list[int]](), 0, 1
        while begin <= last:
            levels.insert(0, list(range(begin, min(begin + width, last + 1))))
            begin, width = begin + width, width * self.children
        return levels

    def _sifted(self, heap: list[int], nodes: Sequence[int]) -> Generator[list[Window], list[Verdict], None]:
        """Sift all `nodes` down at once, of which none is below another."""
        while parents := [node for node in nodes if self._children(node, len(heap))]:
            windows = [
                (heap[node], *(heap[child] for child in self._children(node, len(heap)))) for node in parents
            ]
            verdicts = yield windows
            nodes = []
            for node, judged, verdict in zip(
                parents, apply_verdicts(windows, verdicts), verdicts, strict=True
            ):
                silent = verdict.status is ParseStatus.FAILED and not self.compat
                best = min(judged) if silent else judged[0]
                if best != heap[node]:
                    child = heap.index(best)
                    heap[node], heap[child] = heap[child], heap[node]
                    nodes.append(child)

    def _children(self, node: int, size: int) -> range:
        first = node * self.children + 1
        return range(first, min(first + self.children, size))

    def _longest(self, n: int) -> Iterator[list[tuple[int, ...]]]:
        """For each group of sifts, the passages shown by each comparison of the longest that each may become."""
        for nodes in self._building(n):
            yield [self._path(node, n) for node in nodes]
        for left in range(n - 1, max(n - self.k, 1), -1):
            yield [self._path(0, left)]

    def _path(self, node: int, size: int) -> tuple[int, ...]:
        """The way down over first children, which is the longest and has the most children on every level."""
        shown = []
        while children := self._children(node, size):
            shown.append(1 + len(children))
            node = children[0]
        return tuple(shown)
