"""Output folders: locked by one process, and kept for one configuration."""

from __future__ import annotations

import errno
import inspect
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import InputError, OutputError
from .atomic import DEVICE_ERRORS

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}
"""Errors of file systems without locks: NFS without its lock service, Lustre without `flock`, FUSE."""
_UNLOCKED = "make sure that no other process writes there"
_NATIVE: dict[str, Any] = {
    name: value
    for name, value in {"fallback_to_soft": False}.items()
    if name in inspect.signature(FileLock.__init__).parameters
}
"""Without it, filelock uses a marker file on such file systems, which outlives a process that is killed."""


def file_lock(path: Path, timeout: float = -1) -> FileLock:
    """The lock file `path`, usable by all who may use its folder; `timeout`: seconds, -1 without limit."""
    return FileLock(path, timeout, mode=0o666, **_NATIVE)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` during the block, waiting for it; False where the file system has no locks."""
    lock = file_lock(path)
    held = _acquired(lock)
    try:
        yield held
    finally:
        if held:
            lock.release()


def _acquired(lock: FileLock) -> bool:
    """Acquire the lock; False on a file system without locks."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "flock not supported")
            lock.acquire()
    except NotImplementedError:
        return False
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def acquire_lock(path: Path, lock: FileLock, instead: str = "wait, or choose another `output`") -> bool:
    """Acquire the lock of the output folder `path`, making the lock file's folder; True if it was acquired.

    False, with a warning in the log, on a file system without locks. InputError when another process holds the
    lock, with the advice `instead`, and when `path` cannot be used as a folder; OutputError for a full or broken disk.
    """
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        held = _acquired(lock)
    except Timeout:
        raise InputError(f"{path} is being written by another process: {instead}") from None
    except OSError as error:
        kind = OutputError if error.errno in DEVICE_ERRORS else InputError
        where = f" (it is a link to {os.readlink(path)})" if os.path.islink(path) else ""
        raise kind(f"{path}{where} cannot be used as output folder: {error.strerror}") from error
    if not held:
        log.warning("reasonrank: %s cannot be locked on this file system: %s", path, _UNLOCKED)
    return held


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
