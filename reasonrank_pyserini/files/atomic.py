"""Text files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO, cast

from ..errors import InputError, OutputError

NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
"""Errors of file systems that cannot sync; the data is then as safe as after any write."""
DEVICE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE}
"""Errors of a full or broken disk, which the same command may not meet again."""


@contextlib.contextmanager
def atomic_open(path: str | Path) -> Iterator[TextIO]:
    """A text stream (UTF-8, newlines as written) whose file appears at `path` only when the block succeeds.

    The text goes to a temporary file in the same folder that replaces `path` at the end; an error leaves what
    was there before. A name that ends in `.gz` is compressed, equal text to equal bytes. `-` is standard output;
    it and anything else that is not a regular file (a pipe, `/dev/stdout`) is written directly. The folder must
    exist. Raises InputError for a path that cannot be used, OutputError when writing fails (disk full).
    """
    if "\0" in str(path):
        raise InputError(f"cannot write {str(path)!r}: a file name cannot hold NUL")
    with _output_errors("standard output" if str(path) == "-" else path):
        if str(path) == "-":
            with _text(sys.stdout.buffer) as stream:
                yield stream
        elif _is_device(Path(path)):
            with _open(Path(path), os.O_WRONLY | os.O_APPEND, path) as device, _text(device) as stream:
                yield stream
        else:
            with _replacing(Path(os.path.realpath(path)), path) as stream:
                yield stream


def _is_device(path: Path) -> bool:
    """Whether the path exists and is not a file that can be replaced; paths of open descriptors never can."""
    descriptor = str(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
    try:
        return path.exists() and (descriptor or not path.is_file())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def _replacing(target: Path, path: str | Path) -> Iterator[TextIO]:
    part = target.parent / f".{target.name[:40]}.part-{secrets.token_hex(6)}"
    binary = _open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, path)
    try:
        with binary:
            with _text(binary, compressed=str(path).endswith(".gz")) as stream:
                yield stream
            binary.flush()
            if target.exists():
                with contextlib.suppress(OSError):  # WSL's /mnt, CIFS, FUSE: the default mode has to do
                    os.fchmod(binary.fileno(), target.stat().st_mode & 0o7777)
            sync_file(binary.fileno())
        _replace(part, target, path)
    finally:
        with contextlib.suppress(OSError):  # gone, or what is being raised says why
            part.unlink()


def _open(file: Path, flags: int, path: str | Path) -> IO[bytes]:
    """The opened file; InputError, which names `path` as the user gave it."""
    try:
        return open(os.open(file, flags | getattr(os, "O_CLOEXEC", 0), 0o666), "wb")
    except FileNotFoundError:
        raise InputError(f"cannot write {path}: there is no folder {file.parent}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the name of a file to write") from None
    except OSError as error:
        if error.errno in DEVICE_ERRORS:
            raise
        raise InputError(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def _text(binary: IO[bytes], *, compressed: bool = False) -> Iterator[TextIO]:
    """A text stream over a binary one, flushed at the end; the binary one stays open."""
    with contextlib.ExitStack() as stack:
        if compressed:  # without name and time, so that equal text gives equal bytes
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=binary, mtime=0)
            binary = cast(IO[bytes], stack.enter_context(packed))
        stream = io.TextIOWrapper(binary, encoding="utf-8", newline="\n")
        try:
            yield stream
            stream.flush()
        finally:
            with contextlib.suppress(OSError):  # the error of the flush is already being raised
                stream.detach()


@contextlib.contextmanager
def _output_errors(path: str | Path) -> Iterator[None]:
    """OutputError for full disks and broken devices, InputError for characters that UTF-8 cannot encode."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise InputError(
            f"cannot write {path}: {error.object[error.start : error.end]!r} cannot be encoded as UTF-8"
        ) from error
    except OSError as error:
        if error.errno not in DEVICE_ERRORS:
            raise
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _replace(part: Path, target: Path, path: str | Path) -> None:
    try:
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    sync_folder(target.parent)


def sync_file(handle: int) -> None:
    """Sync an open file to the disk; OSError when that fails, but not on a file system that cannot sync."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Make new names durable where the file system can sync folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
