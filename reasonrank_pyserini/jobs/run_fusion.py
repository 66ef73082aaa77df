"""Several runs of the same queries fused into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from ..datasets.docids import to_castorini
from ..errors import InputError
from ..files.lines import printable
from ..files.outputs import check_output
from ..files.trec import check_tag, write_scored_run
from ..first_stages.base import check_k
from ..first_stages.fusion import fuse_rankings
from ..types import ScoredDocument
from .run_source import GivenRun, RunSource, read_source
from .saying import Say, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseRequest:
    """Two or more runs to fuse, query by query.

    `runs`: TREC files or hits by query id, taken by their scores. `method`: rrf, min-max, z-score or none (see
    `first_stages.fusion`). `weights`: one for each run, None means the same for all. `rrf_k`: the constant of rrf.
    `k`: documents of each query, None all. `output`: a run file to write, with `tag` (None: the method).
    """

    runs: tuple[RunSource, ...]
    method: str = "rrf"
    weights: tuple[float, ...] | None = None
    rrf_k: float = 60
    k: int | None = None
    output: str | Path | None = None
    tag: str | None = None

    @property
    def written_tag(self) -> str:
        """The last column of the run."""
        return self.tag or self.method

    def check(self) -> None:
        """InputError for everything that can be refused before any work."""
        count = len(self.runs)
        if count < 2:
            raise InputError(f"{count} run{'s' * (count != 1)} to fuse: give two or more")
        if self.weights is not None and len(self.weights) != count:
            raise InputError(f"{len(self.weights)} `weights` for {count} runs: give one for each")
        fuse_rankings([()] * count, self.method, self.weights, rrf_k=self.rrf_k)
        if self.k is not None:
            check_k(self.k)
        check_tag(self.written_tag)
        if self.output is not None:
            check_output(str(self.output))


@dataclass(frozen=True, slots=True)
class FuseResult:
    """The fused run: documents by query id, best first. `notes`: what was noticed in the runs."""

    request: FuseRequest
    run: Mapping[str, Sequence[ScoredDocument]]
    notes: tuple[str, ...] = ()

    def write(self, path: str | Path) -> None:
        """Write the run with the request's tag; `-` is standard output."""
        write_scored_run(path, self.run, self.request.written_tag)


@dataclass(frozen=True, slots=True)
class ReadRuns:
    """The runs of a request as read, and the queries that are in any of them, in order of appearance."""

    request: FuseRequest
    given: tuple[GivenRun, ...]
    queries: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def fused(self, query: str, weights: Sequence[float] | None) -> list[ScoredDocument]:
        """One query's fused documents."""
        request = self.request
        rankings = [one.run.get(query, ()) for one in self.given]
        return fuse_rankings(rankings, request.method, weights, rrf_k=request.rrf_k)[: request.k]


def fuse_runs(request: FuseRequest, *, say: Say = silent) -> FuseResult:
    """The runs as one, and written where the request has an output.

    A query that a run lacks is fused from the others. `say` takes the notes as they come. InputError for everything
    that cannot work.
    """
    runs = read_runs(request, say)
    result = FuseResult(
        request, {query: runs.fused(query, request.weights) for query in runs.queries}, runs.notes
    )
    if request.output is not None:
        result.write(request.output)
    return result


def read_runs(request: FuseRequest, say: Say = silent) -> ReadRuns:
    """The request's runs, checked against one another; `say` takes what was noticed."""
    request.check()
    given = tuple(read_source(run) for run in request.runs)
    names = [one.name if isinstance(run, str | Path) else f"run {number}"
             for number, (one, run) in enumerate(zip(given, request.runs, strict=True), 1)]  # fmt: skip
    queries = tuple(dict.fromkeys(query for one in given for query in one.run))
    notes = [note for one in given for note in one.notes]
    for name, one in zip(names, given, strict=True):
        if lacking := [query for query in queries if query not in one.run]:
            shown = ", ".join(map(printable, lacking[:5])) + (", ..." if len(lacking) > 5 else "")
            notes.append(
                f"{name}: {len(lacking)} of {len(queries)} queries are not in it ({shown}) and are fused without it"
            )
    for (name, one), (other_name, other) in combinations(zip(names, given, strict=True), 2):
        notes += _pair_notes(name, one, other_name, other)
    for note in notes:
        say(note)
    return ReadRuns(request, given, queries, tuple(notes))


def _pair_notes(name: str, one: GivenRun, other_name: str, other: GivenRun) -> list[str]:
    """What a user should know about two runs; InputError where they cannot be of the same queries and documents."""
    if one.run == other.run:
        return [f"{name} and {other_name} are equal: fusing them changes no order"]
    both = [query for query in one.run if query in other.run]
    if not both:
        first, second = next(iter(one.run)), next(iter(other.run))
        raise InputError(
            f"{name} and {other_name} have no query in common: the first has {printable(first)}, the second "
            f"{printable(second)}"
        )
    shared = False
    for query in both:
        ids, others = ({hit.id for hit in run.run[query]} for run in (one, other))
        shared = shared or bool(ids & others)
        for these, those in ((ids, others), (others, ids)):
            if found := next((id for id in these - those if " " in id and to_castorini(id) in those), None):
                raise InputError(
                    f"{name} and {other_name} write document ids in two styles, {printable(found)} and "
                    f"{printable(to_castorini(found))}: make both in one (`docid_style` hub or castorini)"
                )
    if shared:
        return []
    first, second = one.run[both[0]][0].id, other.run[both[0]][0].id
    return [
        f"{name} and {other_name} have no document in common: are the ids of one kind? query {printable(both[0])} has "
        f"{printable(first)} in the first and {printable(second)} in the second"
    ]
