"""What a report shows beyond docids: judgements, passages, query texts, the first-stage run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...datasets import Dataset, Docstore, load_dataset
from ...errors import ReasonRankError
from ...files.runs import read_run_report
from ...files.trec import order_by_score
from ...jobs.collection import CollectionRequest, open_collection, read_topics_or_key
from ...jobs.judgements import read_judgements
from ...jobs.saying import Say
from ...lazy import require
from ...scoring import Qrels, Run
from ...types import Document, Query
from .report_inputs import Result

if TYPE_CHECKING:
    from .report_request import ReportRequest

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sources:
    """What a report may show beyond docids; None or empty for what was not given.

    `queries` holds texts by id; `first_stage` is the run that was reranked, whose scores decide the score before.
    `qrels_name` says which judgements these are.
    """

    qrels: Qrels | None = None
    qrels_name: str = ""
    documents: Docstore | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    first_stage: Run | None = None

    def texts(self, ids: Sequence[str]) -> Mapping[str, Document]:
        """The documents that exist, by id."""
        return {} if self.documents is None or not ids else self.documents.get_many(ids)


def open_sources(request: ReportRequest, kind: str, say: Say) -> Sources:
    """What the request names; `kind` chooses among the judgements of its data set."""
    named = CollectionRequest(dataset=request.dataset, index=request.index, corpus=request.corpus)
    collection = open_collection(named) if named.named else None
    dataset = None if collection is None else collection.dataset
    qrels, name = None, ""
    if request.qrels is not None:
        qrels = read_judgements(None, request.qrels, say=say)
        name = "qrels" if isinstance(request.qrels, Mapping) else Path(request.qrels).name
    elif collection is not None and dataset is not None:
        qrels, name = dataset.qrels(kind), f"{collection.name} ({kind})"
    return Sources(
        qrels=qrels,
        qrels_name=name,
        documents=None if collection is None else collection.documents(),
        queries=_read_queries(request.topics, dataset),
        first_stage=_read_first_stage(request.run, say),
    )


def _read_queries(
    topics: str | Path | Mapping[str, str] | Sequence[Query] | None, dataset: Dataset | None
) -> Mapping[str, str]:
    if isinstance(topics, Mapping):
        return topics
    if isinstance(topics, str | Path):
        topics = read_topics_or_key(topics)
    if topics is None:
        topics = () if dataset is None else dataset.queries()
    return {query.id: query.text for query in topics}


def _read_first_stage(run: str | Path | Run | None, say: Say) -> Run | None:
    if run is None or isinstance(run, Mapping):
        return run
    report = read_run_report(run)
    for note in report.notes:
        say(note)
    return order_by_score(report.run)[0]


def recorded_dataset(manifest: Mapping[str, Any]) -> str | None:
    """The data set that a manifest names; None for none, and for a `module:attribute` name."""
    inputs = manifest.get("inputs")
    name = inputs.get("dataset") if isinstance(inputs, dict) else None
    return name if isinstance(name, str) and ":" not in name else None


def add_recorded_dataset(sources: Sources, result: Result, kind: str, say: Say) -> Sources:
    """The sources with what they lack taken from the data set that the manifest names.

    Only what is on this machine already: nothing is downloaded, and a `module:attribute` name is not imported.
    """
    name = recorded_dataset(result.manifest)
    if name is None:
        return sources
    problems: list[str] = []

    def attempt(read: Callable[[Dataset], _T]) -> _T | None:
        try:
            return read(load_dataset(name))
        except ReasonRankError as error:
            problems.append(str(error))
            return None

    documents, queries, qrels = sources.documents, sources.queries, sources.qrels
    with no_downloads():
        if documents is None:
            documents = attempt(lambda dataset: _readable_documents(dataset, result))
        if not queries:
            queries = attempt(lambda dataset: _read_queries(None, dataset)) or {}
        if qrels is None:
            qrels = attempt(lambda dataset: dataset.qrels(kind))
    if problems:
        say(
            f"{result.name}: parts of the data set {name} are not on this machine and are left out: {problems[0]}"
        )
    qrels_name = sources.qrels_name or f"{name} ({kind})"
    return replace(sources, documents=documents, queries=queries, qrels=qrels, qrels_name=qrels_name)


def _readable_documents(dataset: Dataset, result: Result) -> Docstore:
    """The data set's documents; one is read now, so that an error does not come while the page is written."""
    shown = next((query.before for query in result.queries if query.before), ())
    dataset.documents.get_many(shown[:1] or ["0"])
    return dataset.documents


@contextlib.contextmanager
def no_downloads() -> Iterator[None]:
    """Inside the block data sets are read from this machine only: a download raises OSError."""
    hub: Any = require("huggingface_hub.constants", "the data set")
    web: Any = require("ir_datasets.util.download", "the data set").RequestsDownload

    def refuse(*_: Any) -> Any:
        raise OSError("it is not on this machine: give it as `dataset` to download it")

    offline, before, stream = os.environ.get("HF_HUB_OFFLINE"), hub.HF_HUB_OFFLINE, web.stream
    os.environ["HF_HUB_OFFLINE"] = "1"
    hub.HF_HUB_OFFLINE, web.stream = True, refuse
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, web.stream = before, stream
        if offline is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = offline
