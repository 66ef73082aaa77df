"""`reasonrank report`: one HTML page of what reranking did, query by query."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, ReasonRankError
from ..files.outputs import check_output, clean_stdout
from ..files.qrels import read_qrels_report
from ..files.trec import read_run_report
from ..jobs.collection import Collection, CollectionRequest, open_collection, read_topics_or_key
from ..lazy import require
from . import VariadicCommand

if TYPE_CHECKING:
    from ..datasets import Dataset, Docstore
    from ..evaluation.report import Result, Sources


@click.command(cls=VariadicCommand)
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="FILE", help="The page to write.")
@click.option("--dataset", metavar="ID", help="Judgements, passages and queries of this test collection.")
@click.option("--qrels", metavar="FILE", help="Judgements of this qrels file.")
@click.option(
    "--qrels-kind",
    type=click.Choice(["plain", "fixed"]),
    help="Which judgements of the collection  [default: the leaderboard's, else plain]",
)
@click.option("--run", metavar="FILE", help="The first-stage run; else its order is read off the windows.")
@click.option("--index", metavar="NAME|DIR", help="Passages of a prebuilt Pyserini index or an index folder.")
@click.option("--corpus", metavar="FILE", help="Passages: JSONL with id and contents, or title and text.")
@click.option("--topics", metavar="KEY|FILE", help="Query texts: TSV or JSONL, or a Pyserini key (dl20).")
@click.option(
    "--passage-chars",
    type=click.IntRange(0),
    default=300,
    show_default=True,
    help="How much of each passage to show; 0 shows docids only.",
)
@click.option("--title", default="Reranking report", show_default=True, help="The page's heading.")
def command(folders: tuple[Path, ...], output: str, passage_chars: int, title: str, **flags: Any) -> None:
    """Make one self-contained HTML page of one or several rerankings: scores, gains and losses by query,
    every window with its reasoning.

    A DIR is the -o folder of `reasonrank rerank`, or holds such folders. Without judgements there are no scores,
    without a collection docids stand alone; a data set that the reranking used is taken when it is here already.

    \b
    Example:
      reasonrank report out/ --dataset bright/biology --run bm25.trec -o report.html
      reasonrank report results/ -o report.html
    """
    from ..evaluation.report import find_folders, read_result, write_report

    if flags["dataset"] is not None and flags["qrels"] is not None:
        raise click.UsageError("--dataset and --qrels both give judgements: give one of them")
    check_output(output)
    found, leaderboards = find_folders(folders)
    if flags["qrels"] is not None and flags["qrels_kind"] is not None:
        raise click.UsageError("--qrels-kind chooses among a collection's judgements: use it with --dataset")
    kinds = [flags["qrels_kind"], *(board["qrels_kind"] for board in leaderboards), "plain"]
    kind = next(filter(None, kinds))
    with clean_stdout():
        given = _given(flags, kind)
    results = []
    for name, path in found:
        result = read_result(name, path, given.first_stage)
        results.append((result, given if flags["dataset"] is not None else _own(result, given, kind)))
    _check(results, flags)
    write_report(output, results, title=title, passage_chars=passage_chars, leaderboards=leaderboards)
    if output != "-":
        queries = sum(len(result.outcomes) for result, _ in results)
        _say(f"{output}: {queries:,} queries, {Path(output).stat().st_size / 1e6:,.1f} MB")


def _given(flags: Mapping[str, Any], kind: str) -> Sources:
    """What the flags name, for every folder alike."""
    from ..evaluation.report import Sources

    request = CollectionRequest(**{name: flags[name] for name in ("dataset", "index", "corpus", "topics")})
    collection = open_collection(request) if request.named else None
    qrels: Mapping[str, Mapping[str, int]] | None = None
    name = ""
    if flags["qrels"] is not None:
        report = read_qrels_report(flags["qrels"])
        _say(*report.notes)
        qrels, name = report.qrels, Path(flags["qrels"]).name
    elif collection is not None and collection.dataset is not None:
        qrels, name = collection.dataset.qrels(kind), f"{flags['dataset']} ({kind})"
    first_stage = None
    if flags["run"] is not None:
        run = read_run_report(flags["run"])
        _say(*run.notes)
        first_stage = run.run
    documents = collection.documents() if collection is not None else None
    return Sources(qrels, name, documents, _queries(flags["topics"], collection), first_stage)


def _queries(topics: str | None, collection: Collection | None) -> dict[str, str]:
    if topics is not None:
        return {query.id: query.text for query in read_topics_or_key(topics)}
    if collection is not None and collection.dataset is not None:
        return {query.id: query.text for query in collection.topics()}
    return {}


def _own(result: Result, given: Sources, kind: str) -> Sources:
    """What was not given, from the data set that the reranking names, as far as it is here; nothing is
    downloaded, and a name that stands for code is not followed."""
    inputs = result.manifest.get("inputs")
    name = inputs.get("dataset") if isinstance(inputs, dict) else None
    if not isinstance(name, str) or ":" in name:
        return given
    collection, problems = Collection(CollectionRequest(dataset=name)), []

    def here(read: Callable[[Dataset], Any]) -> Any:
        try:
            assert collection.dataset is not None
            return read(collection.dataset)
        except ReasonRankError as error:
            problems.append(str(error))
            return None

    documents, queries, qrels = given.documents, given.queries, given.qrels
    with _no_downloads():
        if documents is None:
            documents = here(lambda dataset: _readable(dataset, result))
        if not queries:
            queries = here(lambda _: _queries(None, collection)) or {}
        if qrels is None:
            qrels = here(lambda dataset: dataset.qrels(kind))
    if problems:
        _say(f"{result.name}: not all of the data set {name} is here, going on without: {problems[0]}")
    return replace(
        given,
        documents=documents,
        queries=queries,
        qrels=qrels,
        qrels_name=given.qrels_name or f"{name} ({kind})",
    )


def _readable(dataset: Dataset, result: Result) -> Docstore:
    """The documents, after a try."""
    shown = next((outcome.before for outcome in result.outcomes if outcome.before), ())
    dataset.documents.get_many(shown[:1] or ["0"])
    return dataset.documents


@contextlib.contextmanager
def _no_downloads() -> Iterator[None]:
    """During the block data sets are read from what is already here: no server is asked."""
    hub: Any = require("huggingface_hub.constants", "the data set")
    web: Any = require("ir_datasets.util.download", "the data set").RequestsDownload

    def refuse(*_: Any) -> Any:
        raise OSError("it is not here; --dataset ID would fetch it")

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


def _check(results: list[tuple[Result, Sources]], flags: Mapping[str, Any]) -> None:
    """InputError when something that was given speaks of none of the queries."""
    ids = {outcome.id for result, _ in results for outcome in result.outcomes}
    sources = results[0][1]
    for flag, known in (("run", sources.first_stage), ("qrels", sources.qrels), ("topics", sources.queries)):
        if flags[flag] is not None and known is not None and not ids & known.keys():
            raise InputError(
                f"--{flag} {flags[flag]} has none of the {len(ids)} queries, e.g. {next(iter(ids))!r}: "
                "give the one that belongs to this reranking"
            )


def _say(*notes: str) -> None:
    for note in notes:
        click.echo(f"note: {' '.join(note.splitlines())}", err=True)
