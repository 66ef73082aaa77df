"""Whether a file is the expected one: by its size and its checksums, computed once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .caches import cache_root, fingerprint

CHECKSUMS = {"md5": "md5", "sha256": "sha256", "git_blob": "git blob id"}
"""Kinds of checksum and their names in messages; a git blob id is the SHA-1 of `blob SIZE`, a NUL and the content."""


def problem_with(
    path: Path, size: int | None, checksums: Mapping[str, str], *, remember: bool = True
) -> str | None:
    """What is wrong with a file, None when nothing is; a verified file is not read again.

    `checksums` by kind, `size` in bytes, None where it is not known. Raises OSError for a file that cannot be read.
    """
    state = path.stat()
    if size is not None and state.st_size != size:
        return f"{state.st_size} bytes instead of {size}"
    marker = _marker(path, state, checksums)
    if not checksums or (remember and _is_there(marker)):
        return None
    for kind, checksum in checksums.items():
        if (found := _digest(path, kind)) != checksum:
            return f"{CHECKSUMS[kind]} {found} instead of {checksum}"
    if remember:
        with contextlib.suppress(OSError):  # without the marker the file is just verified again
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
    return None


def _is_there(marker: Path) -> bool:
    """Whether the marker exists; without it the file is just verified again."""
    try:
        return marker.is_file()
    except OSError:
        return False


def _marker(path: Path, state: os.stat_result, checksums: Mapping[str, str]) -> Path:
    """The empty file that records that this file, in this state, has these checksums."""
    content: dict[str, Any] = {
        "path": str(path.resolve()),
        "size": state.st_size,
        "modified": state.st_mtime_ns,
        **checksums,
    }
    return cache_root() / "verified" / fingerprint(content)[:32]


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        if kind == "git_blob":
            begun = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
            return hashlib.file_digest(stream, lambda: begun).hexdigest()
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
