"""Which lists each training of the ablation sees: chosen by topic, so that no list serves two purposes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plan import (
    DOMAINS,
    FINE_TUNED,
    FIRST_SEED,
    HELD_OUT,
    LIST_SIZES,
    fine_tuning_lists,
    held_out,
)
from running import fresh

from reasonrank_pyserini.datasets.nano.world import TOPICS, World
from reasonrank_pyserini.training.list_records import read_rows, write_rows

Wanted = Callable[[Mapping[str, Any]], bool]
BATCH = 16
"""Lists of an optimizer step of fine-tuning, as the recipe nano has them."""
KINDS = {"all": "filter", "no-filter": "no-filter", "web": "filter"}
"""The kinds of data, and the lists that each is taken from; `web` takes those of domain web alone."""


def write_data(folder: Path, seeds: Iterable[int]) -> None:
    """`data/KIND/sft-SEED.jsonl` and `rl.jsonl` for every kind, and the lists that no training sees.

    Those of fine-tuning are in random order by batches: the lists of a batch have one size, so little is padded. The
    order is all that differs between seeds of fine-tuning, which draws nothing else.
    """
    topics = {topic.id: topic for topic in World.load().topics("train")}
    places = {id: place for place, id in enumerate(topics)}
    last = TOPICS["train"] - HELD_OUT
    for kind, made in KINDS.items():

        def of_kind(row: Mapping[str, Any], kind: str = kind) -> bool:
            return kind != DOMAINS[0] or topics[_topic(row)].domain == kind

        def fine_tuned(row: Mapping[str, Any], wanted: Wanted = of_kind) -> bool:
            return wanted(row) and places[_topic(row)] < FINE_TUNED

        def reinforced(row: Mapping[str, Any], wanted: Wanted = of_kind) -> bool:
            return wanted(row) and FINE_TUNED <= places[_topic(row)] < last

        lists, output = [folder / "lists" / f"{made}-{size}" for size in LIST_SIZES], folder / "data" / kind
        for seed in seeds:
            sizes = [made / "sft.jsonl" for made in lists]
            _write(fine_tuning_lists(folder, kind, seed), sizes, fine_tuned, BATCH, seed)
        _write(output / "rl.jsonl", [lists[0] / "rl.jsonl"], reinforced)
    whole = folder / "lists" / f"{KINDS['all']}-{LIST_SIZES[0]}" / "rl.jsonl"
    _write(held_out(folder), [whole], lambda row: places[_topic(row)] >= last)


def _write(
    output: Path, inputs: Sequence[Path], wanted: Wanted, together: int = 1, seed: int = FIRST_SEED
) -> None:
    """The rows that are wanted, in random order by so many rows of one input, unless they are there."""
    if fresh(output, inputs):
        return
    draw, parts = random.Random(seed - FIRST_SEED), list[Sequence[Mapping[str, Any]]]()
    for path in inputs:
        rows = [row for _, row in read_rows(path) if wanted(row)]
        draw.shuffle(rows)
        parts += [rows[start : start + together] for start in range(0, len(rows), together)]
    draw.shuffle(parts)
    parts.sort(key=lambda part: len(part) < together)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_rows(output, [row for part in parts for row in part])


def _topic(row: Mapping[str, Any]) -> str:
    return str(row["extra_info"]["qid"] if "extra_info" in row else row["id"])
