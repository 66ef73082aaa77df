"""Candidates for many queries: first stages searched, runs read, several of them fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..datasets.docids import DOCID_STYLES
from ..errors import InputError, UnknownNameError
from ..files.lines import printable
from ..files.outputs import check_output
from ..files.trec import check_tag, write_scored_run
from ..first_stages.base import SERVERS, FirstStage, RunFirstStage, check_k, without
from ..first_stages.opening import (
    FusionOptions,
    SearchOptions,
    cached_indexes,
    check_method,
    fused,
    index_note,
    set_java_heap,
)
from ..lazy import resolve
from ..types import Query, ScoredDocument
from .collection import Collection, CollectionRequest, open_collection
from .run_source import GivenRun, RunSource, read_source
from .saying import Say, silent

BATCH = 256
"""Queries between two steps of the progress."""

Steps = Callable[[str, int, int | None], object]
"""Takes what is counted ("queries", "passages encoded"), how many more of it are done, and how many there are."""


def uncounted(unit: str, count: int, total: int | None) -> None:
    """Steps that are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveRequest:
    """A search for every query of a collection.

    First stages: `runs` (TREC files, or hits by query id), `first_stage_url` (an index of Pyserini's REST server),
    then `methods` (bm25, bm25q, dense, module:attribute) over the collection with `search`; several become one by
    `fuse`. Runs alone need no collection: their queries are then taken; a server needs the topics alone. `k`:
    candidates of each query. `output`: a run file to write, with `tag` (None: the methods) and docids in
    `docid_style` (hub, castorini).
    """

    collection: CollectionRequest = field(default_factory=CollectionRequest)
    methods: tuple[str, ...] = ()
    runs: tuple[RunSource, ...] = ()
    first_stage_url: str | None = None
    k: int = 100
    search: SearchOptions = field(default_factory=SearchOptions)
    fuse: FusionOptions | None = None
    output: str | Path | None = None
    tag: str | None = None
    docid_style: str = "hub"

    @property
    def written_tag(self) -> str:
        """The last column of the run."""
        server = ["server"] * (self.first_stage_url is not None)
        names = ["run"] * len(self.runs) + server + [name.rpartition(":")[2] for name in self.methods]
        return self.tag or "-".join([*names, self.fuse.method] if self.fuse else names)

    def check(self) -> None:
        """InputError for everything that can be refused before any work."""
        check_k(self.k)
        count = len(self.runs) + (self.first_stage_url is not None) + len(self.methods)
        if not count:
            raise InputError(
                "no first stage: give `methods` (bm25, bm25q, dense), `runs` or `first_stage_url`"
            )
        for method in self.methods:
            check_method(method, self.search)
        if count > 1 and self.fuse is None:
            raise InputError(f"{count} first stages: give `fuse` rrf or `fuse` weighted to merge them")
        fused([RunFirstStage({})] * count, self.fuse)
        if self.docid_style not in DOCID_STYLES:
            raise UnknownNameError("docid style", self.docid_style, DOCID_STYLES)
        check_tag(self.written_tag)
        if self.output is not None:
            check_output(str(self.output))


@dataclass(frozen=True, slots=True)
class RetrieveResult:
    """What was found: candidates by query id, best first, for every query, also those with none. `notes`: where
    indexes are, and what was noticed in runs."""

    request: RetrieveRequest
    queries: Sequence[Query]
    run: Mapping[str, Sequence[ScoredDocument]]
    notes: tuple[str, ...] = ()

    def write(self, path: str | Path) -> None:
        """Write the run with the request's tag and docid style; `-` is standard output."""
        style = DOCID_STYLES[self.request.docid_style]
        run = {
            query: [ScoredDocument(style(hit.id), hit.score) for hit in hits]
            for query, hits in self.run.items()
        }
        write_scored_run(path, run, self.request.written_tag)


def retrieve(request: RetrieveRequest, *, say: Say = silent, steps: Steps = uncounted) -> RetrieveResult:
    """Search for every query, and write the run where the request has an output.

    Indexes are built once, from documents, and kept in the cache. Excluded documents leave before ranks are cut, so
    k remain where k exist. `say` takes the notes as they come. InputError for everything that cannot work.
    """
    request.check()
    set_java_heap(request.search.heap)
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        say(line)

    runs = [read_source(run) for run in request.runs]
    for run in runs:
        for line in run.notes:
            note(line)
    collection = _collection(request)
    queries = _queries(collection, runs)
    for run in runs:
        if lacking := [query.id for query in queries if query.id not in run.run]:
            note(
                f"{run.name}: {len(lacking)} of {len(queries)} queries are not in it, e.g. {printable(lacking[0])}"
            )
    stages = _stages(request, collection, runs, note, steps)
    found = _candidates(fused([without(stage, collection.excluded) for stage in stages], request.fuse),
                        queries, request.k, steps)  # fmt: skip
    by_query = {query.id: hits for query, hits in zip(queries, found, strict=True)}
    result = RetrieveResult(request, queries, by_query, tuple(notes))
    if request.output is not None:
        result.write(request.output)
    return result


def _collection(request: RetrieveRequest) -> Collection:
    """The collection; runs alone need none."""
    asked = request.collection
    return open_collection(asked) if request.methods or asked.named else Collection(asked)


def _queries(collection: Collection, runs: Sequence[GivenRun]) -> Sequence[Query]:
    """The topics; without any, the queries that the runs name."""
    if collection.request.topics is None and collection.dataset is None and runs:
        return [Query(id, id) for id in dict.fromkeys(id for run in runs for id in run.run)]
    return collection.topics()


def _stages(
    request: RetrieveRequest, collection: Collection, runs: Sequence[GivenRun], note: Say, steps: Steps
) -> list[FirstStage]:
    before = cached_indexes()
    stages: list[FirstStage] = [RunFirstStage(run.run) for run in runs]
    if request.first_stage_url is not None:
        stages.append(resolve("first stage", "pyserini", SERVERS)(request.first_stage_url))
    for method in request.methods:
        stage = collection.stage(method, request.search, progress=partial(_encoded, steps))
        stages.append(stage)
        if (line := index_note(stage, before)) is not None:
            note(line)
    return stages


def _encoded(steps: Steps, count: int) -> None:
    steps("passages encoded", count, None)


def _candidates(
    stage: FirstStage, queries: Sequence[Query], k: int, steps: Steps
) -> list[list[ScoredDocument]]:
    found: list[list[ScoredDocument]] = []
    for start in range(0, len(queries), BATCH):
        batch = queries[start : start + BATCH]
        found += stage.candidates(batch, k)
        steps("queries", len(batch), len(queries))
    return found
