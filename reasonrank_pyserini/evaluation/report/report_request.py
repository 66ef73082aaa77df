"""A report as one call: what to show, and what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...datasets import Dataset, Docstore
from ...errors import InputError
from ...files.outputs import check_output, clean_stdout
from ...jobs.judgements import QrelsSource
from ...jobs.saying import Say, silent
from ...scoring import zero_reason
from ...types import Document, Query
from ..evaluation import RunSource
from .page import write_report
from .recorded_first_stage import recorded_first_stage
from .report_inputs import Result, find_folders, read_result
from .report_sources import Sources, add_recorded_dataset, open_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """Rerank folders and the page to write of them; all else adds to what the page shows.

    `folders` are output folders of a rerank, or hold such folders. Judgements come from `qrels` or `dataset`;
    `qrels_kind` (`plain`, `fixed`) chooses among those of a data set (None: the kind of a leaderboard in the
    folders, else plain). Passages come from `dataset`, `index` or `corpus`, as in a CollectionRequest. `run` is
    the first stage; without it the order before is read off the windows, or for another strategy than the sliding
    window taken from the file that a reproduction noted. `topics` is a file, a Pyserini key,
    queries, or texts by query id. `passage_chars` 0 shows docids alone. Without a `dataset`, the one that a
    folder's manifest names is used as far as it is on this machine.
    """

    folders: Sequence[str | Path]
    output: str | Path
    qrels: QrelsSource | None = None
    dataset: str | Path | Dataset | None = None
    qrels_kind: str | None = None
    run: RunSource | None = None
    index: str | Path | None = None
    corpus: str | Path | Docstore | Sequence[Document] | None = None
    topics: str | Path | Mapping[str, str] | Sequence[Query] | None = None
    passage_chars: int = 300
    title: str = "Reranking report"


@dataclass(frozen=True, slots=True)
class ReportResult:
    """What the written page shows: the rerankings, by name, and how many queries they have together."""

    output: str
    names: tuple[str, ...]
    queries: int


def build(request: ReportRequest, *, say: Say = silent) -> ReportResult:
    """Write one self-contained HTML page of one or several rerankings.

    `say` takes what a user should know, one line each. Raises InputError for what cannot be read, for an output
    that cannot be written, and for a run, judgements or topics of other queries; a page that was there stays.
    """
    _check_judgements(request)
    output = str(request.output)
    check_output(output)
    folders, leaderboards = find_folders([Path(folder) for folder in request.folders])
    kind = _qrels_kind(request, leaderboards)
    with clean_stdout():
        given = open_sources(request, kind, say)
    results = []
    for name, path in folders:
        sources = given
        if request.run is None:
            sources = replace(given, first_stage=recorded_first_stage(path))
        result = read_result(name, path, sources.first_stage)
        complete = request.dataset is not None
        results.append((result, sources if complete else add_recorded_dataset(sources, result, kind, say)))
    _check_queries(request, given, [result for result, _ in results])
    for result, sources in results:
        before = {query.id: query.before for query in result.queries}
        judged = {id: grades for id, grades in (sources.qrels or {}).items() if id in before}
        if judged and (why := zero_reason(judged, before)):
            say(f"{result.name}: {why}")
    write_report(
        output, results, title=request.title, passage_chars=request.passage_chars, leaderboards=leaderboards
    )
    queries = sum(len(result.queries) for result, _ in results)
    return ReportResult(output, tuple(result.name for result, _ in results), queries)


def _check_judgements(request: ReportRequest) -> None:
    if request.qrels is None:
        return
    if request.dataset is not None:
        raise InputError("`dataset` and `qrels` both give judgements: give one of them")
    if request.qrels_kind is not None:
        raise InputError("`qrels_kind` chooses among the judgements of a data set: use it with `dataset`")


def _qrels_kind(request: ReportRequest, leaderboards: Sequence[Mapping[str, Any]]) -> str:
    kinds = [request.qrels_kind, *(str(board["qrels_kind"]) for board in leaderboards)]
    return next(filter(None, kinds), "plain")


def _check_queries(request: ReportRequest, given: Sources, results: Sequence[Result]) -> None:
    """InputError when something that was given has none of the queries."""
    ids = {query.id for result in results for query in result.queries}
    for name, source, known in (
        ("run", request.run, given.first_stage),
        ("qrels", request.qrels, given.qrels),
        ("topics", request.topics, given.queries),
    ):
        if source is not None and known is not None and not ids & known.keys():
            shown = f"`{name}` {source}" if isinstance(source, str | Path) else f"`{name}`"
            raise InputError(
                f"{shown}: none of the {len(ids)} reranked queries is there, e.g. {min(ids)!r}; "
                f"give the `{name}` that belongs to this reranking"
            )
