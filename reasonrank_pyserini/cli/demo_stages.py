"""The stages of a demo, each made by the command that does it elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ..datasets.nano.world import Topic, World
from ..files.atomic import atomic_open
from ..files.hub import SHIPPED, local_folder
from ..ranking.model_request import ModelRequest, SettingOverrides
from .terminal import say, window_bar

DATASET, MODEL, CANDIDATES = "nano/test", "nano", 40
ENGINE = ("--engine", "transformers", "--engine-arg", "device=cpu", "batch_size=32")
"""The same on every machine: a graphics card is not asked for."""


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
        _invoke(
            "retrieve", "--dataset", DATASET, "--method", "bm25", "-k", CANDIDATES, "-o", folder.first_stage
        )
    _rerank(folder, len(topics), overwrite)
    if not folder.report.exists():
        _invoke(
            "report", folder.reranked, "--run", folder.first_stage, "--qrels", folder.qrels,
            "--title", "reasonrank demo: a toy model", "-o", folder.report,
        )  # fmt: skip


def _rerank(folder: DemoFolder, topics: int, overwrite: bool) -> None:
    """`reasonrank rerank`, whose summary is not printed."""
    from ..jobs import CollectionRequest, RerankRequest, rerank

    model, words = _model()
    command = _shown(
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
    rerank(request, say=say, display=window_bar())


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


def _shown(name: str, *arguments: object) -> tuple[str, ...]:
    """The command that does the same, shown on standard error."""
    words = [str(argument) for argument in arguments]
    click.echo(f"$ reasonrank {name} {shlex.join(words)}", err=True)
    return name, *words


def _typed(name: str, *arguments: object) -> click.Context:
    """A command as if it had been typed, shown on standard error; its arguments are in `obj`."""
    from . import group

    words = [str(argument) for argument in arguments]
    click.echo(f"$ reasonrank {name} {shlex.join(words)}", err=True)
    with click.Context(group) as parent:
        command = group.get_command(parent, name)
        assert command is not None
        return command.make_context(name, list(words), parent, obj=words)


def _invoke(name: str, *arguments: object) -> None:
    with _typed(name, *arguments) as asked:
        asked.command.invoke(asked)


def _write_qrels(path: Path, topics: Sequence[Topic]) -> None:
    judged = World.load().qrels("test")
    with atomic_open(path) as stream:
        for topic in topics:
            stream.writelines(f"{topic.id} 0 {docid} {grade}\n" for docid, grade in judged[topic.id].items())
