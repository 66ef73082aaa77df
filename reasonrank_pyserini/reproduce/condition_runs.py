"""The first-stage run of a task: the authors' own file, one of the user's, or one made by Pyserini."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets import Dataset, documents_identity
from ..errors import InputError, UnknownNameError
from ..files.caches import fingerprint
from ..files.downloads import WebFile
from ..files.trec import write_scored_run
from ..first_stages.base import METHODS, FirstStage, without
from ..lazy import resolve
from ..types import Query, ScoredDocument
from .conditions import BENCHMARKS, Condition, FirstStageSource, upstream_url

FIRST_STAGES = ("upstream", "bm25", "bm25q")
"""Where candidates can come from besides a folder of runs: the authors' files, or a search by Pyserini."""
SUFFIXES = (".trec", ".txt", ".run", ".trec.gz", ".txt.gz", ".run.gz")


@dataclass(frozen=True, slots=True)
class FirstRun:
    """A run file and where it came from; `published`: it is the condition's own first stage."""

    path: Path
    origin: str
    published: bool = False


def first_run(
    condition: Condition,
    source: FirstStageSource,
    task: str,
    dataset: Dataset,
    *,
    how: str | None,
    runs: Path | None,
    keep: Path,
) -> FirstRun:
    """The run of one task; fetched, found or made now.

    `runs` is a folder with a file a task and decides when given; else `how`, one of FIRST_STAGES (None: the
    condition's own). A run that Pyserini makes is kept under `keep` and made once. InputError, in one line, when
    there is no such run.
    """
    if runs is not None:
        return FirstRun(found := task_file(runs, task), f"file {found.name}")
    how = how or source.usual
    if how not in FIRST_STAGES:
        raise UnknownNameError("first stage", how, FIRST_STAGES, "or give --runs DIR")
    if how == "upstream":
        return _upstream(condition, source, task)
    variant = source.query_variant if source.query_variant in dataset.variants() else None
    return _searched(how, variant, condition, task, dataset, keep, published=how == source.method)


def _upstream(condition: Condition, source: FirstStageSource, task: str) -> FirstRun:
    run = source.upstream.get(task)
    if run is None:
        raise InputError(
            f"condition {condition.name}: there is no public run of {source.label} for {task}: give --runs DIR "
            f"with a run a task, or --first-stage {' or '.join(FIRST_STAGES[1:])}"
        )
    path = WebFile(upstream_url(run), run.sha256, run.size).fetch()
    return FirstRun(path, upstream_url(run), published=True)


def task_file(folder: Path, task: str) -> Path:
    """The run of a task in a folder: `<task>.trec`, `<task>.<anything>.txt`, `<task>/run.trec` and the like.

    Case and the signs between words do not count, nor does the benchmark's name in front (`earth_science`,
    `r2med_MedQA-Diag`). InputError when none or several fit.
    """
    if not folder.is_dir():
        raise InputError(f"--runs {folder}: there is no such folder")
    paths = sorted(folder.iterdir())
    wanted = {f"{front}{_plain(task)}" for front in ("", *BENCHMARKS)}
    fitting = [path for path in paths if _plain(path.name.split(".")[0]) in wanted]
    files = [file for path in fitting if (file := _inside(path)) is not None]
    if len(files) != 1:
        have = ", ".join(path.name for path in (fitting or paths)[:6]) or "nothing"
        problem = f"{len(files)} files fit" if files else "there is no run"
        raise InputError(
            f"--runs {folder}: {problem} for task {task} (it holds {have}): name one {task}.trec"
        )
    return files[0]


def _inside(path: Path) -> Path | None:
    """The run file itself: the path, or the only run in the folder that it is."""
    if path.is_file():
        return path if path.name.endswith(SUFFIXES) else None
    whole = path / "run.trec"
    if whole.is_file():
        return whole
    runs = [file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()]
    return runs[0] if len(runs) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _searched(
    method: str,
    variant: str | None,
    condition: Condition,
    task: str,
    dataset: Dataset,
    keep: Path,
    *,
    published: bool,
) -> FirstRun:
    origin = f"Pyserini {method}, k1 0.9, b 0.4, queries {variant or 'as given'}"
    content = {"dataset": dataset.id, "method": method, "variant": variant, "k": condition.depth}
    path = keep / f"{task}.{fingerprint(content)[:12]}.trec"
    if not path.is_file():
        queries = dataset.queries(variant)
        stage = _stage(method, dataset)
        hits = without(stage, dataset.excluded).candidates(queries, condition.depth)
        keep.mkdir(parents=True, exist_ok=True)
        write_scored_run(path, {q.id: found for q, found in zip(queries, hits, strict=True)}, method)
    return FirstRun(path, origin, published)


def _stage(method: str, dataset: Dataset) -> FirstStage:
    """BM25 over Pyserini's prebuilt index of a BRIGHT task, over an index of the documents for other data sets."""
    make = resolve("method", method, METHODS)
    if (index := prebuilt_index(dataset)) is not None:
        return _HubIds(make(index=index, method=method), dataset)
    identity = documents_identity(dataset)
    stage: FirstStage = make(corpus=dataset.documents, identity=identity, method=method)
    return stage


def prebuilt_index(dataset: Dataset) -> str | None:
    """The name of Pyserini's prebuilt index of a BRIGHT task; None for other data sets."""
    return dataset.id.replace("/", "-") if dataset.id.startswith("bright/") else None


class _HubIds:
    """A first stage over an index whose docids are in castorini's style, answering with the data set's own."""

    def __init__(self, stage: FirstStage, dataset: Dataset) -> None:
        self.stage, self.dataset = stage, dataset

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        found = self.stage.candidates(queries, k)
        names = self.dataset.hub_ids({hit.id for hits in found for hit in hits})  # type: ignore[attr-defined]
        return [[ScoredDocument(names.get(hit.id, hit.id), hit.score) for hit in hits] for hits in found]
