"""Several works through one reranker: every task has a folder of its own, all share one engine and one queue."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any

from ..reranker import Reranker
from ..types import Candidate, Query, Ranking, Step, TaskQuery
from .manifest import WindowCounts
from .orders import Orders, Renamed
from .rerank_input import RerankInput
from .run_folder import RunFolder

TAG = "reasonrank"
"""The last column of a run."""


class TaskRun:
    """A work and the folder that its result goes to; `run` fills as rankings come, `tally` counts windows."""

    def __init__(self, work: RerankInput, folder: RunFolder, name: str = "", repeat: int = 0) -> None:
        self.work, self.folder, self.name, self.repeat = work, folder, name, repeat
        self.run = Orders(query.id for query in work.queries)
        self.tally = WindowCounts()
        self._missing = len(work.queries)
        self._begin: float | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.repeat

    @property
    def complete(self) -> bool:
        return self._missing == 0

    @property
    def seconds(self) -> float:
        """Wall time since the first query was taken up; 0 before."""
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    def requests(self) -> Iterator[tuple[TaskQuery, tuple[Candidate, ...]]]:
        """The queries with their candidates, read when asked for."""
        for query, candidates in self.work.load():
            yield TaskQuery(query.id, query.text, self.name, self.repeat), candidates

    def begin(self) -> None:
        """A query is taken up."""
        self._begin = self._begin or time.monotonic()

    def observe(self, query: Query, step: Step) -> None:
        """Write a judged window to the folder's trace and count it."""
        self.folder.trace(query, step)
        self.tally.add(query, step)

    def take(self, ranking: Ranking) -> None:
        self.run[ranking.query.id] = ranking.ids
        self.tally.deadline += ranking.cut_short
        self._missing -= 1


def observer(tasks: Sequence[TaskRun], watch: Callable[[Query, Step], None]) -> Callable[[Query, Step], None]:
    """For a Reranker: hands every window to its task, then to `watch`."""
    by_key = {task.key: task for task in tasks}

    def observe(query: Query, step: Step) -> None:
        assert isinstance(query, TaskQuery)
        by_key[query.task, query.repeat].observe(query, step)
        watch(query, step)

    return observe


def run_tasks(tasks: Sequence[TaskRun], reranker: Reranker, done: Callable[[TaskRun], None]) -> None:
    """Rerank all tasks' queries in one queue, those with many candidates first; `done` is called for each task as
    soon as it is complete."""
    by_key = {task.key: task for task in tasks}
    for task in tasks:
        if task.complete:
            done(task)
    frozen = gc.get_freeze_count()
    gc.freeze()  # going through all objects of the loaded libraries would stop the event loop for 250 ms
    try:
        for ranking in reranker.rerank_many(_longest_first(by_key)):
            assert isinstance(ranking.query, TaskQuery)
            task = by_key[ranking.query.task, ranking.query.repeat]
            task.take(ranking)
            if task.complete:
                done(task)
    finally:
        if not frozen:
            gc.unfreeze()


def _longest_first(tasks: Mapping[tuple[str, int], TaskRun]) -> Iterator[tuple[Query, Sequence[Candidate]]]:
    """The tasks' requests, one of each in memory; a long query that started last would finish last."""
    requests = merge(*(task.requests() for task in tasks.values()), key=lambda request: -len(request[1]))
    for query, candidates in requests:
        tasks[query.task, query.repeat].begin()
        yield query, candidates


def windows(work: RerankInput, settings: Any) -> int:
    """Windows to judge in a work under `settings`."""
    return sum(settings.strategy.calls(min(work.counts[q.id], settings.depth)) for q in work.queries)


def renamed(run: Mapping[str, Sequence[str]], name: Callable[[str], str]) -> Mapping[str, list[str]]:
    """A run with every docid as `name` writes it."""
    return Renamed(run, name)
