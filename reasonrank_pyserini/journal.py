"""Completions kept on disk, so that a killed run continues without paying for an answer twice.

A journal is a folder of append-only files, one per process, read together: no locks and no shared
writes, so it works on network file systems. A line is `crc32 key json`; a torn or damaged line is
skipped and counted, never believed.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import secrets
import threading
import zlib
from array import array
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .constrained import CLOSE
from .engines import Engine
from .engines.wrapper import EngineWrapper
from .errors import JournalError, ReplayMissError
from .types import Completion, Limits, Prompt, Sampling

SUFFIX = ".journal"


def completion_key(identity: Mapping[str, Any], prompt: Prompt, sampling: Sampling, sample: int = 0) -> str:
    """What a completion depends on, as sha256 hex: engine and weights, sampling, prompt, sample number."""
    drawn = asdict(sampling)
    if sampling.permutation is None:
        del drawn["permutation"]  # a key is what it was before there was such a field
    head = {"engine": dict(identity), "sampling": drawn, "sample": sample}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(json.dumps([dict(message) for message in prompt.messages], sort_keys=True).encode())
    if prompt.token_ids is not None:
        digest.update(array("I", prompt.token_ids).tobytes())
    elif not prompt.messages:
        digest.update(prompt.text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class Journal:
    """The completions in `folder`: `get` reads one back, `put` appends one. Thread-safe.

    Only keys and positions are kept in memory (about 200 bytes a completion). `damaged` counts the
    lines that could not be used. Nothing is written before the first `put`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.damaged = 0
        self._index: dict[bytes, tuple[Path, int]] = {}
        self._lock = threading.Lock()
        self._out: FileIO | None = None
        self._path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        self._failed = False
        if self.folder.is_dir():
            for path in sorted(self.folder.glob(f"*{SUFFIX}")):
                self._scan(path)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._index

    def _scan(self, path: Path) -> None:
        try:
            with open(path, "rb") as stream:
                position = 0
                for line in stream:
                    key = _checked(line)
                    if key is None:
                        self.damaged += 1
                    else:
                        self._index[key[0]] = (path, position)
                    position += len(line)
        except OSError as error:
            raise JournalError(f"journal {path} cannot be read: {error.strerror}") from error

    def get(self, key: str) -> Completion | None:
        """The recorded completion, marked `cached`, or None."""
        with self._lock:
            place = self._index.get(bytes.fromhex(key))
            if place is None:
                return None
        try:
            with open(place[0], "rb") as stream:
                stream.seek(place[1])
                checked = _checked(stream.readline())
        except OSError as error:
            raise JournalError(f"journal {place[0]} cannot be read: {error.strerror}") from error
        if checked is not None:
            with suppress(TypeError, ValueError):  # another version's fields
                return replace(_completion(json.loads(checked[1])), cached=True)
        self.damaged += 1
        return None

    def put(self, key: str, completion: Completion) -> None:
        """Append one completion; it survives the death of this process. JournalError when it cannot be written."""
        body = f"{key} {json.dumps(asdict(completion))}".encode()
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        with self._lock:
            if self._failed:
                raise JournalError(
                    f"journal {self._path} could not be written before; nothing more is recorded"
                )
            try:
                out = self._open()
                position = out.seek(0, os.SEEK_END)
                if out.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                self._failed = True
                raise JournalError(
                    f"journal {self._path} cannot be written: {error.strerror}; "
                    "what was recorded before is kept: free space and run the same command again"
                ) from error
            self._index[bytes.fromhex(key)] = (self._path, position)

    def _open(self) -> FileIO:
        if self._out is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._out = open(self._path, "ab", buffering=0)  # noqa: SIM115 (kept open for the journal's life)
        return self._out

    def close(self) -> None:
        """Write everything through to the disk. Calling it twice is fine."""
        with self._lock:
            out, self._out = self._out, None
            if out is None:
                return
            with out:
                try:
                    os.fsync(out.fileno())
                except OSError as error:
                    if not self._failed:
                        raise JournalError(
                            f"journal {self._path} cannot be written: {error.strerror}"
                        ) from error

    def keys(self) -> Iterator[str]:
        """The recorded keys, hex."""
        return (key.hex() for key in list(self._index))


def _completion(record: dict[str, Any]) -> Completion:
    ids = record.pop("token_ids", None)  # older records have none
    return Completion(**record, token_ids=None if ids is None else tuple(ids))


def _checked(line: bytes) -> tuple[bytes, bytes] | None:
    """Key and JSON of a line whose checksum holds, else None."""
    if len(line) < 75 or line[-1:] != b"\n":
        return None
    body = line[9:-1]
    try:
        if int(line[:8], 16) != zlib.crc32(body):
            return None
        return bytes.fromhex(body[:64].decode()), body[65:]
    except ValueError:
        return None


class Recorded(EngineWrapper):
    """An engine that asks `journal` first and records every new completion before anybody else sees it.

    Token ids, larger than the text, are kept only where no answer was closed: nothing else is continued.
    """

    def __init__(self, engine: Engine, journal: Journal, *, sample: int = 0) -> None:
        super().__init__(engine)
        self.journal, self.sample = journal, sample

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        key = await asyncio.to_thread(completion_key, self.identity, prompt, sampling, self.sample)
        found = self.journal.get(key)
        if found is not None:
            return found
        completion = await self.engine.complete(prompt, sampling)
        if CLOSE in completion.text:
            completion = replace(completion, token_ids=None)
        self.journal.put(key, completion)  # no await in between: a cancelled sibling cannot lose it
        return completion

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self.journal.close()


class Replay:
    """An engine that only reads a journal: ReplayMissError for whatever was never recorded under `identity`."""

    def __init__(self, journal: Journal, identity: Mapping[str, Any], *, sample: int = 0) -> None:
        self.journal, self.identity, self.sample = journal, identity, sample
        self.limits = Limits(requests=64)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        key = completion_key(self.identity, prompt, sampling, self.sample)
        found = self.journal.get(key)
        if found is None:
            raise ReplayMissError(
                f"journal {self.journal.folder} has no completion {key[:12]}: run without replay"
            )
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()
