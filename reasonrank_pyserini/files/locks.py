"""Output folders that one process holds for one configuration: what rerankings and trainings share."""

from __future__ import annotations

import errno
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import InputError

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_UNLOCKED = "make sure that no other process writes there"


def acquire_lock(path: Path, lock: FileLock, instead: str = "wait, or choose another -o") -> bool:
    """Take the lock, a file in a folder of `path` that is made if it is not there; whether it was taken.

    Where the file system has no locks a warning is logged, and the work goes on without. InputError when
    another process has it (`instead`: what to do then), and when `path` cannot be a folder.
    """
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported")  # filelock then holds by a marker file
            lock.acquire()
        return True
    except Timeout:
        raise InputError(f"{path} is being written by another process: {instead}") from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            log.warning("reasonrank: %s cannot be locked on this file system: %s", path, _UNLOCKED)
            return False
        raise InputError(f"{path} cannot be used as output folder: {error.strerror}") from error


def held_configuration(path: Path, manifest: Mapping[str, Any] | None, note: Path) -> dict[str, Any] | None:
    """The configuration that a folder holds: of its manifest, else of the note that unfinished work left."""
    held = (manifest or {}).get("configuration") or read_json(note)
    if held is not None and not isinstance(held, dict):
        raise InputError(f"{path / 'manifest.json'} is not one of ours: choose another -o, or remove it")
    return held


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file of ours, None when there is no file; InputError for anything else in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): choose another -o, or remove it") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not one of ours: choose another -o, or remove it")
    return value


def differences(held: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """The first settings that differ, e.g. `settings.window: 10 there, 20 now`."""
    found = _changes(held, json.loads(json.dumps(mine)))
    return "; ".join(found[:3]) + ("; ..." if len(found) > 3 else "")


def _changes(held: Mapping[str, Any], mine: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name in sorted(held.keys() | mine.keys()):
        there, now = held.get(name), mine.get(name)
        if isinstance(there, dict) and isinstance(now, dict):
            found += _changes(there, now, f"{prefix}{name}.")
        elif there != now:
            found.append(f"{prefix}{name}: {_short(there)} there, {_short(now)} now")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    if len(text) > 40 and isinstance(value, list):
        return f"{len(value)} entries from {json.dumps(value[0])[:30]}"
    return text if len(text) <= 40 else text[:37] + "..."
