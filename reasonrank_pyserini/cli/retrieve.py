"""`reasonrank retrieve`: a first stage, or several fused, as a TREC run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..datasets.docids import DOCID_STYLES
from ..errors import InputError, UnknownNameError
from ..files.outputs import check_output, clean_stdout
from ..first_stages.opening import (
    FusionOptions,
    SearchOptions,
    cached_indexes,
    fused,
    index_note,
    open_stage,
    set_java_heap,
)
from ..jobs.collection import Collection, CollectionRequest, open_collection
from ..types import ScoredDocument
from . import VariadicCommand
from .collection_options import COLLECTION_OPTIONS, VARIANT_OPTION, collection_request
from .option_groups import option_group
from .search_options import stage_options

if TYPE_CHECKING:
    from ..first_stages.base import FirstStage, Run
    from ..types import Query

FUSIONS = ("rrf", "weighted")
_BATCH = 256
"""Queries between two steps of the progress bar."""


@click.command(cls=VariadicCommand)
@option_group("collection", (*COLLECTION_OPTIONS, VARIANT_OPTION), collection_request)
@click.option("--method", "methods", multiple=True, metavar="M", help="bm25, bm25q (query-side BM25), dense.")
@click.option("--run", "runs", multiple=True, metavar="FILE", help="TREC runs instead of or beside a search.")
@click.option("-k", "--k", "k", type=int, default=100, show_default=True, help="Candidates per query.")
@click.option("--fuse", metavar="rrf|weighted", help="How several runs and methods become one run.")
@click.option("--weights", multiple=True, type=float, metavar="W", help="One each: runs, then methods.")
@click.option("--rrf-k", type=float, default=60, show_default=True, help="The constant of rrf.")
@click.option("--depth", type=int, default=1000, show_default=True, help="Candidates of each that are fused.")
@stage_options
@click.option("--tag", metavar="WORD", help="Last column of the run.  [default: the methods]")
@click.option("--docid-style", type=click.Choice(list(DOCID_STYLES)), default="hub", show_default=True,
              help="The collection's own docids, or castorini's, with _ for blanks.")  # fmt: skip
@click.option("-o", "--output", required=True, metavar="FILE|-", help="The run; - is standard output.")
def command(output: str, k: int, tag: str | None, docid_style: str, **flags: Any) -> None:
    """Retrieve candidates and write them as a TREC run.

    Indexes are built once, from a corpus or a data set, and kept in the cache. Excluded documents leave
    before ranks are cut, so K remain.

    \b
    Examples:
      reasonrank retrieve --corpus corpus.jsonl --topics topics.tsv --method bm25 -o bm25.trec
      reasonrank retrieve --index bright-biology --topics bright-biology --method bm25q -k 10 -o -
      reasonrank retrieve --corpus corpus.jsonl --topics topics.tsv --method bm25 dense \\
          --encoder sentence-transformers/all-MiniLM-L6-v2 --fuse rrf -o hybrid.trec
      reasonrank retrieve --run bm25.trec dense.trec --fuse weighted --weights 0.3 0.7 -o fused.trec
    """
    from ..files.trec import write_scored_run

    begin = time.monotonic()
    _check(output, k, flags)
    with clean_stdout():
        queries, found = _retrieve(k, flags)
    style = DOCID_STYLES[docid_style]
    run = {
        query.id: [ScoredDocument(style(hit.id), hit.score) for hit in hits]
        for query, hits in zip(queries, found, strict=True)
    }
    write_scored_run(output, run, tag or _tag(flags))
    empty, short = sum(not hits for hits in found), sum(0 < len(hits) < k for hits in found)
    _say(
        f"{len(queries)} queries, {sum(map(len, found))} candidates; {empty} queries empty, {short} with "
        f"fewer than {k}; {time.monotonic() - begin:.1f} s"
    )


def _check(output: str, k: int, flags: Mapping[str, Any]) -> None:
    """Refuses what can be refused before any work."""
    from ..first_stages.base import METHODS, RunFirstStage, check_k

    check_k(k)
    methods, runs, fuse = flags["methods"], flags["runs"], flags["fuse"]
    count = len(methods) + len(runs)
    if not count:
        raise InputError("no first stage: give --method bm25, bm25q or dense, or --run FILE")
    for method in methods:
        if method not in METHODS and ":" not in method:
            raise UnknownNameError("method", method, METHODS, "or give your own as module:attribute")
    if fuse is not None and fuse not in FUSIONS:
        raise UnknownNameError("fusion", fuse, FUSIONS)
    if count > 1 and fuse is None:
        raise InputError(f"{count} first stages: say by --fuse rrf or --fuse weighted how they become one")
    if flags["weights"] and fuse is None:
        raise InputError("--weights belongs to --fuse rrf or --fuse weighted")
    if flags["depth"] < 1:
        raise InputError(f"--depth is {flags['depth']}: give at least 1")
    if "dense" in methods and flags["search"].encoder is None:
        raise InputError("--method dense needs --encoder, such as sentence-transformers/all-MiniLM-L6-v2")
    fused([RunFirstStage({})] * count, _fusion(flags))
    check_output(output)


def _retrieve(k: int, flags: Mapping[str, Any]) -> tuple[Sequence[Query], list[list[ScoredDocument]]]:
    from ..first_stages.base import RunFirstStage, without

    set_java_heap(flags["search"].heap)
    runs = [_read_run(path) for path in flags["runs"]]
    collection = _collection(flags)
    queries = _queries(collection, runs)
    excluded = collection.excluded
    before = cached_indexes()
    stages: list[FirstStage] = [RunFirstStage(run) for run in runs]
    stages += [_open(method, collection, flags["search"]) for method in flags["methods"]]
    for stage in stages:
        if (note := index_note(stage, before)) is not None:
            _say(note)
    return queries, _ask(fused([without(stage, excluded) for stage in stages], _fusion(flags)), queries, k)


def _open(method: str, collection: Collection, options: SearchOptions) -> FirstStage:
    from tqdm import tqdm

    index = collection.request.index
    with tqdm(unit=" passages encoded", disable=None if method == "dense" else True) as bar:
        return open_stage(
            method, options, index=index, documents=collection.documents() if index is None else None,
            identity=collection.identity, progress=bar.update,
        )  # fmt: skip


def _fusion(flags: Mapping[str, Any]) -> FusionOptions | None:
    weights = tuple(flags["weights"]) or None
    if flags["fuse"] is None:
        return None
    return FusionOptions(method=flags["fuse"], weights=weights, rrf_k=flags["rrf_k"], depth=flags["depth"])


def _collection(flags: Mapping[str, Any]) -> Collection:
    """The collection; runs alone need none."""
    asked: CollectionRequest = flags["collection"]
    return open_collection(asked) if flags["methods"] or asked.named else Collection(asked)


def _queries(collection: Collection, runs: Sequence[Run]) -> Sequence[Query]:
    """The topics; without any, the queries that the runs name."""
    from ..types import Query

    if collection.request.topics is None and collection.dataset is None and runs:
        return [Query(id, id) for id in dict.fromkeys(id for run in runs for id in run)]
    return collection.topics()


def _read_run(path: str) -> Run:
    from ..files.trec import read_run_report

    report = read_run_report(path)
    for note in report.notes:
        _say(note)
    return report.run


def _ask(stage: FirstStage, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
    from tqdm import tqdm

    found: list[list[ScoredDocument]] = []
    with tqdm(total=len(queries), unit=" queries", disable=None) as bar:
        for start in range(0, len(queries), _BATCH):
            batch = queries[start : start + _BATCH]
            found += stage.candidates(batch, k)
            bar.update(len(batch))
    return found


def _tag(flags: Mapping[str, Any]) -> str:
    names = ["run"] * len(flags["runs"]) + [name.rpartition(":")[2] for name in flags["methods"]]
    return "-".join([*names, flags["fuse"]] if flags["fuse"] else names)


def _say(message: str) -> None:
    click.echo(f"reasonrank: {message}", err=True)
