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
from ..jobs.run_folder import RunFolder, read_written_run
from ..jobs.task_runs import TAG
from ..jobs.trace import read_manifest
from ..types import Query

_COUNTS = ("windows", "prompt_tokens", "completion_tokens", "errors", "cached", "seconds")
_COUNTERS = ("statuses", "error_messages", "counts")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` of `of`, counted from 1: every `of`-th query of each task. InputError for an impossible one."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise _no_shard(f"{self.number}/{self.of}")

    @property
    def whole(self) -> bool:
        """Whether it is the only part."""
        return self.of == 1


def parse_shard(text: str) -> Shard:
    """`3/12` as a Shard; InputError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if found is None:
        raise _no_shard(text)
    return Shard(int(found[1]), int(found[2]))


def _no_shard(text: str) -> InputError:
    return InputError(f"`shard` {text}: give it as 3/12, from 1/12 to 12/12")


def shard_folder(output: Path, shard: Shard) -> Path:
    """The folder for a shard's tasks: one of its own in `output`; `output` itself where there is only one shard."""
    return output if shard.whole else output / f"shard-{shard.number}-of-{shard.of}"


def merge_shards(output: Path, task: str, queries: Sequence[Query], folder: RunFolder) -> bool:
    """Write the whole result of a task from its finished shards in `output`; False where there are none.

    Queries keep the order of `queries`, windows come shard by shard, and counts are added up. InputError where the
    shards do not hold every query exactly once, or were made with another configuration.
    """
    parts = sorted(path.parent for path in output.glob(f"shard-*-of-*/{task}/manifest.json"))
    if not parts:
        return False
    runs = [read_written_run(part / "run.trec") for part in parts]
    found = {query: [hit.id for hit in hits] for run in runs for query, hits in run.items()}
    manifests = [read_manifest(part) for part in parts]
    held = Counter(query for one in manifests for query in one["configuration"]["queries"])
    have = ", ".join(part.parent.name for part in parts)
    if twice := [query for query, count in held.items() if count > 1]:
        raise InputError(
            f"{task}: query {twice[0]!r} is in several shards ({have}): remove the shards of the other partition"
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
                f"{part} was made with another configuration: merge with the settings that the shards were made with"
            )
    folder.adopt([part / "trace.jsonl" for part in parts])
    run = {query.id: found.get(query.id, []) for query in queries}
    folder.finish(run, TAG, _merged(manifests))
    return True


def _plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration after a round trip through JSON."""
    found: dict[str, Any] = json.loads(json.dumps(configuration))
    return found


def _merged(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first manifest, with the counts of all added up."""
    first = {name: value for name, value in manifests[0].items() if name != "configuration"}
    for name in _COUNTS:
        first[name] = sum(one[name] for one in manifests)
    for name in _COUNTERS:
        total: Counter[str] = Counter()
        for one in manifests:
            total.update(one[name])
        first[name] = dict(sorted(total.items()))
    queries = sum(one["queries"] for one in manifests)
    return {**first, "queries": queries, "shards": len(manifests)}
