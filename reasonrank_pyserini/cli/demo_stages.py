"""The stages of a demo: retrieve, rerank, report, each shown as the command that does the same."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ..datasets.nano.world import Topic, World
from ..files.atomic import atomic_open
from ..files.hub import SHIPPED, local_folder
from ..jobs.collection import CollectionRequest
from ..jobs.rerank_request import RerankRequest
from ..jobs.rerank_run import rerank
from ..jobs.retrieval import RetrieveRequest, retrieve
from ..ranking.model_request import ModelRequest, SettingOverrides
from .terminal import StepBars, say, standing_bar

DATASET, MODEL, CANDIDATES = "nano/test", "nano", 40
ENGINE = ("--engine", "transformers", "--engine-arg", "device=cpu", "batch_size=32")
"""The same on every machine: graphics cards are not used."""
TITLE = "reasonrank demo: a toy model"


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where a demo's files are; `note` says which demo it is."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path / "demo.json"

    @property
    def first_stage(self) -> Path:
        return self.path / "bm25.trec"

    @property
    def qrels(self) -> Path:
        return self.path / "qrels.txt"

    @property
    def reranked(self) -> Path:
        return self.path / "reranked"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def results(self) -> tuple[Path, ...]:
        """The files whose being there says that a stage is finished."""
        return self.first_stage, self.reranked / "manifest.json", self.report


def make(folder: DemoFolder, topics: Sequence[Topic], *, overwrite: bool) -> None:
    """Make what the folder does not hold yet for the first topics of the collection."""
    _write_qrels(folder.qrels, topics)
    if not folder.first_stage.exists():
        _retrieve(folder)
    _rerank(folder, len(topics), overwrite)
    if not folder.report.exists():
        _report(folder)


def _retrieve(folder: DemoFolder) -> None:
    from .retrieve import counts

    _show("retrieve", "--dataset", DATASET, "--method", "bm25", "-k", CANDIDATES, "-o", folder.first_stage)
    begin = time.monotonic()
    request = RetrieveRequest(
        collection=CollectionRequest(dataset=DATASET),
        methods=("bm25",),
        k=CANDIDATES,
        output=folder.first_stage,
    )
    with StepBars() as bars:
        result = retrieve(request, say=say, steps=bars.step)
    say(f"{counts(result)}; {time.monotonic() - begin:.1f} s")


def _rerank(folder: DemoFolder, topics: int, overwrite: bool) -> None:
    model, words = _model()
    command = _show(
        "rerank", "--run", folder.first_stage, "--dataset", DATASET, *words, *ENGINE,
        "--limit", topics, "-o", folder.reranked,
    )  # fmt: skip
    request = RerankRequest(
        output=folder.reranked,
        judge=model,
        run=folder.first_stage,
        collection=CollectionRequest(dataset=DATASET),
        limit=topics,
        overwrite=overwrite,
        command=command,
    )
    rerank(request, say=say, display=standing_bar("window"))


def _report(folder: DemoFolder) -> None:
    from ..evaluation.report import ReportRequest, build
    from .report import print_note, print_written

    _show(
        "report", folder.reranked, "--run", folder.first_stage, "--qrels", folder.qrels,
        "--title", TITLE, "-o", folder.report,
    )  # fmt: skip
    request = ReportRequest(
        folders=(folder.reranked,),
        output=folder.report,
        run=folder.first_stage,
        qrels=folder.qrels,
        title=TITLE,
    )
    print_written(build(request, say=print_note))


def _model() -> tuple[ModelRequest, tuple[str, ...]]:
    """The toy model and its options, also where the user has a folder of its name."""
    own = SHIPPED[MODEL]
    asked = ModelRequest(
        model=MODEL, engine="transformers", engine_args={"device": "cpu", "batch_size": 32},
        settings=SettingOverrides(seed=0),
    )  # fmt: skip
    if local_folder(MODEL) == own:
        return asked, ("--model", MODEL)
    return replace(asked, model=str(own), profile=MODEL), ("--model", str(own), "--profile", MODEL)


def _show(name: str, *arguments: object) -> tuple[str, ...]:
    """The command that does the same, shown on standard error."""
    words = [str(argument) for argument in arguments]
    click.echo(f"$ reasonrank {name} {shlex.join(words)}", err=True)
    return name, *words


def _write_qrels(path: Path, topics: Sequence[Topic]) -> None:
    judged = World.load().qrels("test")
    with atomic_open(path) as stream:
        for topic in topics:
            stream.writelines(f"{topic.id} 0 {docid} {grade}\n" for docid, grade in judged[topic.id].items())
