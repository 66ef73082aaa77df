"""Output folders: locked by one process, and kept for one configuration."""

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


def acquire_lock(path: Path, lock: FileLock, instead: str = "wait, or choose another `output`") -> bool:
    """Acquire the lock of the output folder `path`, making the lock file's folder; True if it was acquired.

    False, with a warning in the log, on a file system without locks. InputError when another process holds the
    lock, with the advice `instead`, and when `path` cannot be used as a folder.
    """
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported")  # filelock then uses a marker file
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
    """The configuration of the result in a folder: from its manifest, else from the note of an unfinished run."""
    held = (manifest or {}).get("configuration") or read_json(note)
    if held is not None and not isinstance(held, dict):
        raise InputError(f"{path / 'manifest.json'} is not a manifest: choose another `output`, or remove it")
    return held


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when there is no file, InputError for any other content."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): choose another `output`, or remove it") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object: choose another `output`, or remove it")
    return value


def differences(held: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """The first settings that differ, e.g. `settings.window: 10 there, 20 now`."""
    found = _changes(held, json.loads(json.dumps(requested)))
    return "; ".join(found[:3]) + ("; ..." if len(found) > 3 else "")


def _changes(held: Mapping[str, Any], requested: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name in sorted(held.keys() | requested.keys()):
        there, now = held.get(name), requested.get(name)
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
