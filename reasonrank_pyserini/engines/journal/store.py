"""Journal: the completions of a folder, by key."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path

from ...files.atomic import NO_SYNC, sync_folder
from ...types import Completion
from .encoding import SUFFIX, checked, decode, encode, spans
from .journal_messages import unreadable, unwritable

SYNC_SECONDS = 10.0
"""A completion reaches the disk itself, not only the kernel, at most this long after it was recorded."""


class Journal:
    """The completions in `folder`: `get` reads one back, `put` appends one. Thread-safe.

    Only keys and positions are kept in memory, about 200 bytes a completion. `damaged` counts the
    records that could not be used. Nothing is written before the first `put`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._index: dict[bytes, tuple[Path, int]] = {}
        self._lock = threading.Lock()
        self._out: FileIO | None = None
        self._path = self.folder / SUFFIX
        self._process = 0
        self._failed: str | None = None
        self._reported = False
        self._timer: threading.Timer | None = None
        self.damaged: int = self._read()

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._index

    def _read(self) -> int:
        """Index all files of the folder and return the number of damaged records."""
        damaged = 0
        for path in journal_files(self.folder):
            try:
                with open(path, "rb") as stream:
                    for span in spans(stream):
                        if span.key is None:
                            damaged += 1
                        else:
                            self._index[span.key] = (path, span.position)
            except OSError as error:
                raise unreadable(path, error) from error
        return damaged

    def get(self, key: str) -> Completion | None:
        """The recorded completion, marked `cached`, or None."""
        name = bytes.fromhex(key)
        place = self._index.get(name)
        if place is None:
            return None
        try:
            try:
                line = _line(*place)
            except FileNotFoundError:  # another process pruned the journal: the record is in another file
                with self._lock:
                    self._index.pop(name, None)
                    self._read()
                    place = self._index.get(name)
                line = b"" if place is None else _line(*place)
        except OSError as error:
            raise unreadable(self.folder, error) from error
        record = checked(line)
        found = decode(record[1]) if record is not None and record[0] == name else None
        if found is not None:
            return replace(found, cached=True)
        with self._lock:
            self.damaged += self._index.pop(name, None) is not None
        return None

    def put(self, key: str, completion: Completion) -> None:
        """Append one completion; it survives the death of this process. JournalError when it cannot be written."""
        line = encode(key, completion)
        with self._lock:
            if self._failed is not None:
                self._reported = True
                raise unwritable(self._path, self._failed, before=True)
            try:
                out = self._open()
                position = out.seek(0, os.SEEK_END)
                _append(out, line, position)
            except OSError as error:
                self._failed, self._reported = str(error.strerror), True
                raise unwritable(self._path, self._failed) from error
            self._index[bytes.fromhex(key)] = (self._path, position)
            self._sync_later()

    def _open(self) -> FileIO:
        """The file of this process; after a fork the child starts a file of its own."""
        if self._out is None or self._process != os.getpid():
            if self._out is not None:
                self._out.close()
                self._timer = None
            self._process = os.getpid()
            self._path = self.folder / f"{self._process}-{secrets.token_hex(4)}{SUFFIX}"
            self.folder.mkdir(parents=True, exist_ok=True)
            self._out = open(self._path, "ab", buffering=0)  # noqa: SIM115 (kept open for the journal's life)
            with contextlib.suppress(ImportError, OSError):  # only tells `prune` that the file is in use
                import fcntl

                fcntl.flock(self._out.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._out

    def _sync_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(SYNC_SECONDS, self._sync)
            self._timer.daemon = True
            with contextlib.suppress(RuntimeError):  # the interpreter is ending: close() syncs
                self._timer.start()

    def _sync(self) -> None:
        """Sync to the disk from the timer's thread, while others go on recording."""
        with self._lock:
            self._timer = None
            if self._out is None:
                return
            handle = os.dup(self._out.fileno())
        try:
            self._sync_handle(handle)
        finally:
            os.close(handle)

    def _sync_handle(self, handle: int) -> None:
        """Sync; a failure, after which records may be lost, is raised by the next `put` or by `close`."""
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in NO_SYNC:
                self._failed = self._failed or str(error.strerror)
        sync_folder(self.folder)

    def close(self) -> None:
        """Sync everything to the disk. May be called twice; JournalError when the disk refuses."""
        with self._lock:
            out, self._out = self._out, None
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if out is not None:
            self._sync_handle(out.fileno())
            try:
                out.close()
            except OSError as error:  # where writes are reported late
                self._failed = self._failed or str(error.strerror)
        if self._failed is not None and not self._reported:
            self._reported = True
            raise unwritable(self._path, self._failed)

    def keys(self) -> Iterator[str]:
        """The recorded keys, hex."""
        return (key.hex() for key in list(self._index))


def journal_files(folder: Path) -> list[Path]:
    """The journal files of a folder in reading order; of records with the same key the last one counts."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def _line(path: Path, position: int) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(position)
        return stream.readline()


def _append(out: FileIO, line: bytes, position: int) -> None:
    """Write the whole line at the end, or leave the file as it was."""
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[out.write(rest) :]
    except OSError:
        with contextlib.suppress(OSError):
            out.truncate(position)
        raise
