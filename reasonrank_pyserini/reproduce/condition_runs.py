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
from ..jobs.run_source import RunSource
from ..lazy import resolve
from ..types import Query, ScoredDocument
from .conditions import BENCHMARKS, Condition, FirstStageSource, UpstreamRun, first_stage, upstream_url
from .reproduce_request import Runs

FIRST_STAGES = ("upstream", "bm25", "bm25q")
"""Where candidates come from when no runs are given: the authors' files, or a search by Pyserini."""
SUFFIXES = (".trec", ".txt", ".run", ".trec.gz", ".txt.gz", ".run.gz")
JSON_SUFFIXES = (".json", ".json.gz")
"""BRIGHT's score JSON, looked for where no file has one of SUFFIXES: a TREC run's folder may have other JSON files."""


@dataclass(frozen=True, slots=True)
class FirstRun:
    """A run and where it came from; `published`: it is the condition's own first stage."""

    run: RunSource
    origin: str
    published: bool = False

    def file(self, folder: Path) -> Path | None:
        """The run's file, relative to `folder` where it is in there; None for a run in memory."""
        if not isinstance(self.run, str | Path):
            return None
        path, base = Path(self.run).resolve(), folder.resolve()
        return path.relative_to(base) if path.is_relative_to(base) else path


def first_run(
    condition: Condition,
    task: str,
    dataset: Dataset,
    *,
    how: str | None,
    runs: Runs | None,
    keep: Path,
) -> FirstRun:
    """The run of one task, found, fetched or made now.

    `runs` decides where it is given; otherwise `how`, one of FIRST_STAGES (None: the condition's own). A run that
    Pyserini makes is kept in the folder `keep` and made once. InputError where there is no such run.
    """
    if runs is not None:
        return _given(runs, task)
    source = first_stage(condition.benchmark, condition.first_stage)
    how = known_first_stage(how or source.usual)
    if how == "upstream":
        return _upstream(condition, source, task)
    return _searched(source, how, task, dataset, condition.depth, keep)


def lacks_public_run(condition: Condition, tasks: Sequence[str], how: str | None) -> str:
    """Why `first_run` would have no run of one of the tasks; empty where it has all."""
    source = first_stage(condition.benchmark, condition.first_stage)
    if known_first_stage(how or source.usual) == "upstream":
        for task in tasks:
            if task not in source.upstream:
                return _no_public_run(condition, source, task)
    return ""


def known_first_stage(name: str) -> str:
    """The name itself; UnknownNameError unless it is one of FIRST_STAGES."""
    if name not in FIRST_STAGES:
        raise UnknownNameError("first stage", name, FIRST_STAGES, "or give `runs`")
    return name


def query_variant(source: FirstStageSource, dataset: Dataset) -> str | None:
    """The query variant that a search for the source uses; None for the queries as they are."""
    return source.query_variant if source.query_variant in dataset.variants() else None


def _given(runs: Runs, task: str) -> FirstRun:
    if isinstance(runs, str | Path):
        return FirstRun(found := task_file(Path(runs), task), f"file {found.name}")
    by_task = {_plain(name): run for name, run in runs.items()}
    run = by_task.get(_plain(task))
    if run is None:
        raise InputError(f"`runs` has no run of task {task}; it has: {', '.join(runs) or 'none'}")
    if isinstance(run, str | Path):
        return FirstRun(Path(run), f"file {Path(run).name}")
    return FirstRun(run, "a run in memory")


def _upstream(condition: Condition, source: FirstStageSource, task: str) -> FirstRun:
    run = source.upstream.get(task)
    if run is None:
        raise InputError(_no_public_run(condition, source, task))
    file = upstream_file(run)
    return FirstRun(file.fetch(), file.url, published=True)


def upstream_file(run: UpstreamRun) -> WebFile:
    """The run file as it is downloaded and verified."""
    return WebFile(upstream_url(run), run.sha256, run.size, run.git_blob)


def _no_public_run(condition: Condition, source: FirstStageSource, task: str) -> str:
    return (
        f"condition {condition.name}: {source.label} has no public run of {task}: give `runs` DIR with a run per "
        f"task, or `first_stage` {' or '.join(FIRST_STAGES[1:])}"
    )


def task_file(folder: Path, task: str) -> Path:
    """The run of a task in a folder: `<task>.trec`, `<task>.<anything>.txt`, `<task>/run.trec`, `<task>.json` and the
    like.

    Case, hyphens and underscores make no difference, and the benchmark's name may stand in front
    (`earth_science`, `r2med_MedQA-Diag`). InputError unless exactly one file fits.
    """
    if not folder.is_dir():
        raise InputError(f"`runs` {folder}: no such folder")
    paths = sorted(folder.iterdir())
    wanted = {f"{front}{_plain(task)}" for front in ("", *BENCHMARKS)}
    fitting = [path for path in paths if _plain(path.name.split(".")[0]) in wanted]
    found = (
        [file for path in fitting if (file := _inside(path, ends))] for ends in (SUFFIXES, JSON_SUFFIXES)
    )
    files = next(filter(None, found), [])
    if len(files) != 1:
        have = ", ".join(path.name for path in (fitting or paths)[:6]) or "nothing"
        problem = f"{len(files)} files fit task {task}" if files else f"it has no run of task {task}"
        raise InputError(f"`runs` {folder}: {problem} (found: {have}): name one of them {task}.trec")
    return files[0]


def _inside(path: Path, suffixes: tuple[str, ...]) -> Path | None:
    """The path where it is a run file; the run file in it where it is a folder with one."""
    if path.is_file():
        return path if path.name.endswith(suffixes) else None
    whole = path / "run.trec"
    if whole.is_file():
        return whole
    runs = [file for file in path.iterdir() if file.name.endswith(suffixes) and file.is_file()]
    return runs[0] if len(runs) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _searched(
    source: FirstStageSource, method: str, task: str, dataset: Dataset, depth: int, keep: Path
) -> FirstRun:
    variant = query_variant(source, dataset)
    origin = f"Pyserini {method}, k1 0.9, b 0.4, queries {variant or 'as given'}"
    content = {"dataset": dataset.id, "method": method, "variant": variant, "k": depth}
    path = keep / f"{task}.{fingerprint(content)[:12]}.trec"
    if not path.is_file():
        queries = dataset.queries(variant)
        hits = without(_stage(method, dataset), dataset.excluded).candidates(queries, depth)
        keep.mkdir(parents=True, exist_ok=True)
        write_scored_run(path, {q.id: found for q, found in zip(queries, hits, strict=True)}, method)
    return FirstRun(path, origin, published=method == source.method)


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
    """A first stage over an index with docids in castorini's style; its candidates have the data set's docids."""

    def __init__(self, stage: FirstStage, dataset: Dataset) -> None:
        self.stage, self.dataset = stage, dataset

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        found = self.stage.candidates(queries, k)
        names = self.dataset.hub_ids({hit.id for hits in found for hit in hits})  # type: ignore[attr-defined]
        return [[ScoredDocument(names.get(hit.id, hit.id), hit.score) for hit in hits] for hits in found]
