"""Which lists each training sees: chosen by topic, so that no list serves two purposes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arms import CURVE_KIND, FIRST_SEED, Lists
from plan import (
    FINE_TUNED,
    HELD_OUT,
    fine_tuning_lists,
    held_out,
    made_lists,
    reinforcement_lists,
)
from running import fresh

from reasonrank_pyserini.datasets.nano.world import TOPICS, World
from reasonrank_pyserini.training.list_records import read_rows, write_rows

Wanted = Callable[[Mapping[str, Any]], bool]
BATCH = 16
"""Lists of an optimizer step of fine-tuning, as the recipe nano has them."""


def write_data(folder: Path, seeds: Iterable[int], seen: Mapping[str, Lists]) -> None:
    """`data/KIND/sft-SEED.jsonl` and `rl.jsonl` for every kind seen; of `CURVE_KIND`, also lists that no training sees.

    Those of fine-tuning are in random order by batches: the lists of a batch have one size, so little is padded. The
    order is all that differs between seeds of fine-tuning, which draws nothing else.
    """
    topics = World.load().topics("train")
    last = TOPICS["train"] - HELD_OUT
    for kind, lists in seen.items():

        def of(first: int, end: int, domain: str = lists.domain) -> Wanted:
            ids = {topic.id for topic in topics[first:end] if domain in ("", topic.domain)}
            return lambda row: _topic(row) in ids

        tuning = [made_lists(folder, lists, size) / "sft.jsonl" for size in lists.sizes]
        for seed in seeds:
            _write(fine_tuning_lists(folder, kind, seed), tuning, of(0, FINE_TUNED), BATCH, seed)
        reinforcing = [made_lists(folder, lists, size) / "rl.jsonl" for size in lists.reinforced]
        _write(reinforcement_lists(folder, kind), reinforcing, of(FINE_TUNED, last))
        if kind == CURVE_KIND:
            _write(held_out(folder), reinforcing, of(last, len(topics)))


def _write(
    output: Path, inputs: Sequence[Path], wanted: Wanted, together: int = 1, seed: int = FIRST_SEED
) -> None:
    """Write the wanted rows, shuffled in blocks of `together` rows of one input, unless the file is up to date."""
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
