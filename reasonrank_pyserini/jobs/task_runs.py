"""Several rerankings through one Reranker: each has its own folder, all share one engine and one queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from heapq import merge

from ..ranking.judge import TaskKey, TaskRequest
from ..ranking.settings import Settings
from ..reranker import Reranker
from ..types import Query, Ranking, Step
from .manifest import WindowCounts
from .orders import Orders
from .rerank_input import RerankInput
from .run_folder import RunFolder

TAG = "reasonrank"
"""The last column of a run."""

Watch = Callable[[Query, Step], None]
"""Is given every window, in the Reranker's thread."""


def unwatched(query: Query, step: Step) -> None:
    """A Watch that does nothing."""


class TaskRun:
    """An input and the folder for its result; `run` fills as rankings come, `tally` counts windows.

    `traced`: windows are written to the folder's trace.
    """

    def __init__(
        self, work: RerankInput, folder: RunFolder, name: str = "", repeat: int = 0, *, traced: bool = True
    ) -> None:
        self.work, self.folder, self.name, self.repeat, self.traced = work, folder, name, repeat, traced
        self.run = Orders(query.id for query in work.queries)
        self.tally = WindowCounts()
        self._missing = len(work.queries)
        self._begin: float | None = None

    @property
    def key(self) -> TaskKey:
        return TaskKey(self.name, self.repeat)

    @property
    def complete(self) -> bool:
        return self._missing == 0

    @property
    def seconds(self) -> float:
        """Wall time since the first query started; 0 before."""
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    def requests(self) -> Iterator[TaskRequest]:
        """The queries with their candidates, read one by one."""
        key = self.key
        for query, candidates in self.work.load():
            yield TaskRequest(key, query, candidates)

    def begin(self) -> None:
        """A query starts."""
        self._begin = self._begin or time.monotonic()

    def observe(self, query: Query, step: Step) -> None:
        """Count a judged window and write it to the folder's trace."""
        if self.traced:
            self.folder.trace(query, step)
        self.tally.add(step)

    def take(self, ranking: Ranking) -> None:
        """Keep a query's final order."""
        self.run[ranking.query.id] = ranking.ids
        self.tally.deadline += ranking.cut_short
        self._missing -= 1


def run_tasks(
    tasks: Sequence[TaskRun],
    reranker: Reranker,
    done: Callable[[TaskRun], None] = lambda task: None,
    watch: Watch = unwatched,
) -> None:
    """Rerank all tasks' queries in one queue, those with many candidates first.

    `done` is called for each task as soon as it is complete, `watch` after each window has been counted.
    """
    by_key = {task.key: task for task in tasks}
    for task in tasks:
        if task.complete:
            done(task)

    def observe(key: TaskKey, query: Query, step: Step) -> None:
        by_key[key].observe(query, step)
        watch(query, step)

    with closing(reranker.rerank_tasks(_longest_first(by_key), observe)) as rankings:
        for key, ranking in rankings:
            task = by_key[key]
            task.take(ranking)
            if task.complete:
                done(task)


def _longest_first(tasks: Mapping[TaskKey, TaskRun]) -> Iterator[TaskRequest]:
    """The tasks' requests, one of each in memory; a long query that started last would finish last."""
    requests = merge(
        *(task.requests() for task in tasks.values()), key=lambda request: -len(request.candidates)
    )
    for request in requests:
        tasks[request.key].begin()
        yield request


def windows(work: RerankInput, settings: Settings) -> int:
    """How many windows an input has under `settings`, at most."""
    strategy = settings.ranking_strategy
    return sum(strategy.calls(n) for n in _candidates(work, settings))


def calls(work: RerankInput, settings: Settings) -> int:
    """How many requests an input takes under `settings`, as `Settings.calls`."""
    each = {n: settings.calls(n) for n in set(_candidates(work, settings))}
    return sum(each[n] for n in _candidates(work, settings))


def _candidates(work: RerankInput, settings: Settings) -> list[int]:
    """How many candidates of each query are reranked."""
    return [min(work.counts[query.id], settings.depth) for query in work.queries]
