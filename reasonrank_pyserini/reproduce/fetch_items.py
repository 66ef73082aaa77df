"""What a condition needs, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..datasets import Dataset, load_dataset
from ..errors import InputError, UnknownNameError
from ..files.downloads import WebFile
from . import FIRST_STAGES, prebuilt_index
from .conditions import BENCHMARKS, Condition, find_condition, first_stage, upstream_url
from .fetching import FileItem, IndexItem, Item, ModelItem, collection_items
from .reproduce_inputs import DEFAULT, task_names


def needed(benchmark: str, flags: Mapping[str, Any], *, with_model: bool) -> list[Item]:
    """Everything for the condition's tasks; InputError for names that do not exist."""
    condition = find_condition(benchmark, flags["condition"] or DEFAULT)
    model = flags["model"] or condition.model
    revision = condition.revision if model == condition.model else None
    items: list[Item] = [ModelItem(model, revision)] if with_model and model else []
    for task in task_names(condition, flags["tasks"]):
        id = BENCHMARKS[benchmark].dataset(task)
        if id is None:
            raise InputError(f"{task} has to be obtained from its owner: name other --tasks")
        dataset = load_dataset(id)
        kind = flags["qrels_kind"] or condition.qrels_kind
        run, variants = _first_stage(condition, task, dataset, flags)
        items += [*collection_items(dataset, variants, kind), *run]
    unique = {item.name: item for item in items}
    return list(unique.values())


def _first_stage(
    condition: Condition, task: str, dataset: Dataset, flags: Mapping[str, Any]
) -> tuple[list[Item], list[str]]:
    """The run to fetch, or the query variant that a search will need."""
    source = first_stage(condition.benchmark, condition.first_stage)
    how = flags["first_stage"] or source.usual
    if how not in FIRST_STAGES:
        raise UnknownNameError("first stage", how, FIRST_STAGES)
    if flags["runs"] is not None:
        return [], []
    if how == "upstream":
        run = source.upstream.get(task)
        return ([FileItem(WebFile(upstream_url(run), run.sha256, run.size))] if run else []), []
    index: list[Item] = [IndexItem(prebuilt)] if (prebuilt := prebuilt_index(dataset)) else []
    return index, [source.query_variant] if source.query_variant in dataset.variants() else []
