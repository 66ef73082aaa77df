"""Records of conditions and benchmarks, as this package's TOML files have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class UpstreamRun:
    """A run file of the authors, by its path in a GitHub repository at one commit.

    It has a `sha256` or a `git_blob`, the id that git gives its content; `size` is in bytes, None where unknown.
    """

    repository: str
    commit: str
    path: str
    sha256: str | None = None
    git_blob: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class FirstStageSource:
    """Where a condition's candidates come from.

    `upstream`: task -> run file of the authors, empty where none is public. `method`: how Pyserini makes them, None
    where it cannot. `query_variant`: the queries that the first stage searches with; the reranker has the originals.
    `average`: its published nDCG@10 x 100 over the tasks with the plain judgements, in `average_source`, where it has
    no condition of its own.
    """

    name: str
    label: str
    upstream: Mapping[str, UpstreamRun]
    method: str | None = None
    query_variant: str | None = None
    average: float | None = None
    average_source: str | None = None

    @property
    def usual(self) -> str:
        """How its candidates are obtained unless the user chooses: "upstream", or by `method`."""
        return self.method if self.method and not self.upstream else "upstream"


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of a results table and how it was made; `published` and `average` are as printed, x 100.

    `kind` is "reranker", "first-stage" or "reference" (other papers' numbers, which cannot be run). `window`, `step`
    and `passes` are 0 where no window moves or the source does not say; then the model's profile says how passages are
    judged. `sampled`: the temperature is above 0, so one run gets no verdict. `tolerance` and `average_tolerance` are
    for a reproduction's task and average.
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

    `tasks` are in the paper's order, `own_order` in that of the benchmark's own site. `labels`: task -> column head.
    `datasets`: task -> id of its test collection, None where the collection cannot be downloaded.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    own_order: tuple[str, ...]
    labels: Mapping[str, str]
    datasets: Mapping[str, str | None]
    footnotes: tuple[str, ...] = ()

    def dataset(self, task: str) -> str | None:
        """The id for `load_dataset`; None where the collection cannot be downloaded."""
        return self.datasets[self.known(task)]

    def known(self, task: str) -> str:
        """The task itself; UnknownNameError where the benchmark has no such task."""
        if task not in self.labels:
            raise UnknownNameError(f"{self.title} task", task, self.tasks)
        return task
