"""Which engine wrote a journal: a small file next to it, so that a replay can find its keys without an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, JournalError, OutputError
from ...files.atomic import atomic_open
from ...files.caches import fingerprint
from ...files.locks import read_json


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An engine's requested configuration (`asked`) and the `identity` it had once started, part of every key.

    `context` is the number of tokens that prompt and answer had to fit. The field names are those of the file.
    """

    asked: Mapping[str, Any]
    identity: Mapping[str, Any]
    context: int


def write_record(folder: Path, record: EngineRecord) -> None:
    """Write the record to `folder` as engine-HASH.json if it is new; JournalError when it cannot be written."""
    if find_record(folder, record.asked) == EngineRecord(**json.loads(json.dumps(asdict(record)))):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(folder / f"engine-{fingerprint(record.asked)[:16]}.json") as stream:
            json.dump(asdict(record), stream, indent=1)
            stream.write("\n")
    except (OSError, InputError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JournalError(f"journal {folder} cannot be written: {reason}") from error


def find_record(folder: Path, asked: Mapping[str, Any], *, any_weights: bool = False) -> EngineRecord | None:
    """The record of an engine with the requested configuration `asked`; None when there is none.

    `any_weights` also accepts a record that differs in the model alone, if there is exactly one: for a model
    folder whose weights are not on this machine.
    """
    exact = _read(folder / f"engine-{fingerprint(asked)[:16]}.json")
    if exact is not None or not any_weights:
        return exact
    records = [found for path in sorted(folder.glob("engine-*.json")) if (found := _read(path)) is not None]
    wanted = {**asked, "model": None}
    near = [one for one in records if fingerprint({**one.asked, "model": None}) == fingerprint(wanted)]
    return near[0] if len(near) == 1 else None


def _read(path: Path) -> EngineRecord | None:
    found = read_json(path)
    if found is None:
        return None
    try:
        record = EngineRecord(**found)
        return EngineRecord(dict(record.asked), dict(record.identity), int(record.context))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not an engine record: remove it, the next run writes it again"
        ) from error
