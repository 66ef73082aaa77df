"""Parts of a reproduction that run as separate jobs, and their union."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..jobs.run_folder import RunFolder
from ..jobs.task_runs import TAG
from ..jobs.trace import read_manifest
from ..runfile import read_run
from ..types import Query

COUNTS = ("windows", "prompt_tokens", "completion_tokens", "errors", "cached", "seconds")
COUNTERS = ("statuses", "error_messages", "counts")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` of `of`, counted from 1: every `of`-th query of each task."""

    number: int = 1
    of: int = 1

    @property
    def whole(self) -> bool:
        return self.of == 1


def parse_shard(text: str | None) -> Shard:
    """`3/12` as a Shard; None is the whole. InputError for anything else."""
    if text is None:
        return Shard()
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.of:
        raise InputError(f"--shard {text}: give it as 3/12, from 1/12 to 12/12")
    return shard


def shard_folder(output: Path, shard: Shard) -> Path:
    """Where a shard's tasks go: a folder of its own in `output`, which the whole goes to."""
    return output if shard.whole else output / f"shard-{shard.number}-of-{shard.of}"


def merge_shards(output: Path, task: str, queries: Sequence[Query], folder: RunFolder) -> bool:
    """Write the whole result of a task from the shards in `output` that hold it; False when there is none.

    The queries come in their own order, the windows shard by shard; counts are added up. InputError names what
    is missing when the shards do not hold every query.
    """
    parts = sorted(path.parent for path in output.glob(f"shard-*-of-*/{task}/manifest.json"))
    if not parts:
        return False
    runs = [read_run(part / "run.trec") for part in parts if (part / "run.trec").stat().st_size]
    found = {query: [hit.id for hit in hits] for run in runs for query, hits in run.items()}
    manifests = [read_manifest(part) for part in parts]
    held = Counter(query for one in manifests for query in one["configuration"]["queries"])
    have = ", ".join(part.parent.name for part in parts)
    if twice := [query for query, count in held.items() if count > 1]:
        raise InputError(
            f"{task}: query {twice[0]!r} is in several shards ({have}): remove those of the other partition"
        )
    missing = [query.id for query in queries if query.id not in held]
    if missing:
        raise InputError(
            f"{task}: {len(missing)} of {len(queries)} queries are in no finished shard, e.g. {missing[0]!r} "
            f"(finished: {have}): run the other shards first"
        )
    for part, one in zip(parts, manifests, strict=True):
        if {**one["configuration"], "queries": ()} != {**_plain(folder.configuration), "queries": ()}:
            raise InputError(
                f"{part} was made with another configuration than this command's: give the shards' own options"
            )
    folder.adopt([part / "trace.jsonl" for part in parts])
    run = {query.id: found.get(query.id, []) for query in queries}
    folder.finish(run, TAG, _merged(manifests))
    return True


def _plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as JSON gives it back."""
    found: dict[str, Any] = json.loads(json.dumps(configuration))
    return found


def _merged(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first manifest with the counts of all."""
    first = {name: value for name, value in manifests[0].items() if name != "configuration"}
    for name in COUNTS:
        first[name] = sum(one[name] for one in manifests)
    for name in COUNTERS:
        total: Counter[str] = Counter()
        for one in manifests:
            total.update(one[name])
        first[name] = dict(sorted(total.items()))
    queries = sum(one["queries"] for one in manifests)
    return {**first, "queries": queries, "shards": len(manifests)}
