"""`fetch`: everything that a condition needs, downloaded for a machine without a network."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ..datasets import Dataset
from ..errors import InputError
from ..files.caches import cache_root
from ..jobs.saying import Say, silent
from .condition_runs import known_first_stage, prebuilt_index, query_variant, upstream_file
from .conditions import Condition, find_condition, first_stage
from .fetch_items import FileItem, IndexItem, Item, ModelItem, collection_items
from .reproduce_inputs import task_dataset, task_names
from .reproduce_request import DEFAULT_CONDITION, Runs

FOLDERS = {
    "HF_HOME": "huggingface",
    "HF_HUB_CACHE": "huggingface/hub",
    "REASONRANK_CACHE": "reasonrank",
    "IR_DATASETS_HOME": "ir_datasets",
    "PYSERINI_CACHE": "pyserini",
}
"""The caches by the environment variable that sets them, and their names below one folder."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What will be reproduced, and where to put what it needs.

    `model` replaces the condition's; without `with_model` no model is fetched, with `runs` no first-stage run. `to`: a
    folder for all caches, None leaves them where they are. The other fields as in ReproduceRequest.
    """

    benchmark: str = "bright"
    condition: str = DEFAULT_CONDITION
    _: KW_ONLY
    tasks: tuple[str, ...] = ()
    model: str | None = None
    first_stage: str | None = None
    runs: Runs | None = None
    qrels_kind: str | None = None
    with_model: bool = True
    to: str | Path | None = None


@dataclass(frozen=True, slots=True)
class FetchResult:
    """How many of the `needed` items were fetched, and the environment in which they are used without a network."""

    fetched: int
    needed: int
    environment: Mapping[str, str]


def fetch(request: FetchRequest, *, say: Say = silent) -> FetchResult:
    """Download what is missing, sizes first; InputError before any download where the disk has no room.

    With `to` this process's caches are moved there, too; that has to happen before the hub's client is imported.
    """
    items = needed(request)
    fetched = _fetch_all(items, cache_root() if request.to is None else Path(request.to), say)
    return FetchResult(fetched, len(items), {**_places(), "HF_HUB_OFFLINE": "1"})


def needed(request: FetchRequest) -> list[Item]:
    """Everything that the condition's tasks need, fetched already or not; InputError for unknown names."""
    if request.to is not None:
        _move_caches(Path(request.to))
    condition = find_condition(request.benchmark, request.condition)
    model = request.model or condition.model
    revision = condition.revision if model == condition.model else None
    items: list[Item] = [ModelItem(model, revision)] if request.with_model and model else []
    for task in task_names(condition, request.tasks):
        dataset = task_dataset(condition, task)
        run, variants = _first_stage(condition, task, dataset, request)
        items += [*collection_items(dataset, variants, request.qrels_kind or condition.qrels_kind), *run]
    unique = {item.name: item for item in items}
    return list(unique.values())


def _first_stage(
    condition: Condition, task: str, dataset: Dataset, request: FetchRequest
) -> tuple[list[Item], list[str]]:
    """The run to fetch, or the query variant that a search will need."""
    source = first_stage(condition.benchmark, condition.first_stage)
    how = known_first_stage(request.first_stage or source.usual)
    if request.runs is not None:
        return [], []
    if how == "upstream":
        run = source.upstream.get(task)
        return ([FileItem(upstream_file(run))] if run else []), []
    index: list[Item] = [IndexItem(prebuilt)] if (prebuilt := prebuilt_index(dataset)) else []
    variant = query_variant(source, dataset)
    return index, [] if variant is None else [variant]


def _move_caches(folder: Path) -> None:
    """Point this process's caches below `folder`; InputError where the hub's client has read its own already."""
    chosen = {name: str(folder.absolute() / below) for name, below in FOLDERS.items()}
    if "huggingface_hub" in sys.modules and any(os.environ.get(name) != chosen[name] for name in chosen):
        raise InputError(
            "`to` must be set before huggingface_hub is imported, which reads its cache folder then: start a new "
            "process, or use the command line"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`to` {folder} cannot be made: {error.strerror}") from error
    os.environ.update(chosen)


def _places() -> dict[str, str]:
    """The environment variables that place the caches, where they are set."""
    return {name: value for name in FOLDERS if (value := os.environ.get(name))}


def _fetch_all(items: Sequence[Item], disk: Path, say: Say) -> int:
    """Fetch what is missing, sizes first; how many items were fetched."""
    missing = [(item, item.size) for item in items if item.missing]
    total = sum(size or 0 for _, size in missing)
    unknown = sum(size is None for _, size in missing)
    for item, size in missing:
        say(f"{_bytes(size):>10}  {item.name}")
    more = f" and {unknown} of unknown size" if unknown else ""
    say(f"{_bytes(total):>10}  to fetch{more}; {len(items) - len(missing)} of {len(items)} are here already")
    free = shutil.disk_usage(_existing(disk)).free
    if total > free:
        raise InputError(
            f"{_bytes(total)} to fetch, but {disk} has {_bytes(free)} free: choose another disk with `to` DIR"
        )
    for number, (item, _) in enumerate(missing, 1):
        say(f"[{number}/{len(missing)}] {item.name}")
        item.fetch()
    return len(missing)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _bytes(size: int | None) -> str:
    if size is None:
        return "?"
    for unit, amount in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= amount:
            return f"{size / amount:.1f} {unit}"
    return f"{size} B"
