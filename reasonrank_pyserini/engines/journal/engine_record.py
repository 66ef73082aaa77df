"""What a journal's answers were asked of: a small file beside them, so that a replay needs no engine to know it."""

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
    """How an engine was asked for (`asked`, as in a configuration), and what it turned out to be.

    `identity` is part of every key; `context` the tokens for prompt and answer that prompts were fitted to.
    """

    asked: Mapping[str, Any]
    identity: Mapping[str, Any]
    context: int


def write_record(folder: Path, note: EngineRecord) -> None:
    """Keep the note in `folder`, as engine-HASH.json, if it is new; JournalError when it cannot be written."""
    if find_record(folder, note.asked) == EngineRecord(**json.loads(json.dumps(asdict(note)))):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_open(folder / f"engine-{fingerprint(note.asked)[:16]}.json") as stream:
            json.dump(asdict(note), stream, indent=1)
            stream.write("\n")
    except (OSError, InputError, OutputError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JournalError(f"journal {folder} cannot be written: {reason}") from error


def find_record(folder: Path, asked: Mapping[str, Any], *, any_weights: bool = False) -> EngineRecord | None:
    """The note of what was asked for in the same way, None when there is none.

    `any_weights`: also one that differs in the model alone, if there is just one: for folders of models whose
    weights are elsewhere.
    """
    exact = _read(folder / f"engine-{fingerprint(asked)[:16]}.json")
    if exact is not None or not any_weights:
        return exact
    notes = [note for path in sorted(folder.glob("engine-*.json")) if (note := _read(path)) is not None]
    wanted = {**asked, "model": None}
    near = [note for note in notes if fingerprint({**note.asked, "model": None}) == fingerprint(wanted)]
    return near[0] if len(near) == 1 else None


def _read(path: Path) -> EngineRecord | None:
    found = read_json(path)
    if found is None:
        return None
    try:
        note = EngineRecord(**found)
        return EngineRecord(dict(note.asked), dict(note.identity), int(note.context))
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not one of ours: remove it, it is written again") from error
