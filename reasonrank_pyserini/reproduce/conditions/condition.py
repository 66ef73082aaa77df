"""What a condition is made of: plain records, read from this package's TOML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class UpstreamRun:
    """A run file of the authors, by its path in their repository at UPSTREAM_COMMIT."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FirstStageSource:
    """Where a condition's candidates come from.

    `upstream`: task -> run file of the authors, empty when none is public; `method`: how Pyserini makes
    them, None when it cannot; `query_variant`: what the first stage searches with, never the reranker.
    """

    name: str
    label: str
    upstream: Mapping[str, UpstreamRun]
    method: str | None = None
    query_variant: str | None = None

    @property
    def usual(self) -> str:
        """How its candidates are had unless the user says otherwise: "upstream", or by `method`."""
        return self.method if self.method and not self.upstream else "upstream"


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a results table and how it is made; `published` and `average` are as printed, x 100.

    `kind` is "reranker", "first-stage" or "reference" (numbers of others, which cannot be run); window,
    step and passes are 0 where no window is moved or the source does not say. `sampled`: temperature above
    0, so never judged from one run. The tolerances are those of a reproduction, for a task and the average.
    """

    name: str
    benchmark: str
    kind: str
    label: str
    model: str | None
    revision: str | None
    first_stage: str
    window: int
    step: int
    passes: int
    depth: int
    passage_tokens: int
    sampled: bool
    qrels_kind: str
    measure: str
    published: Mapping[str, float]
    average: float | None
    source: str
    tolerance: float
    average_tolerance: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A set of tasks that are reported together.

    `tasks` are in the paper's order, `own_order` in that of the benchmark's own site; `labels`: task ->
    column head; `datasets`: task -> id of its test collection, None when it has to be obtained.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    own_order: tuple[str, ...]
    labels: Mapping[str, str]
    datasets: Mapping[str, str | None]
    footnotes: tuple[str, ...] = ()

    def dataset(self, task: str) -> str | None:
        """The id for `load_dataset`; None when the collection has to be obtained by the user."""
        return self.datasets[self.known(task)]

    def known(self, task: str) -> str:
        """The task itself; UnknownNameError when the benchmark has no such task."""
        if task not in self.labels:
            raise UnknownNameError(f"{self.title} task", task, self.tasks)
        return task

    @property
    def paper_labels(self) -> tuple[str, ...]:
        """The column heads in the paper's order."""
        return tuple(self.labels[task] for task in self.tasks)

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The column heads in the benchmark's own order."""
        return tuple(self.labels[task] for task in self.own_order)
