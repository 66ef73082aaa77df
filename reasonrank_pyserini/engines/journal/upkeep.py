"""Looking after a journal's folder: what is in it, whether it is whole, and one file out of many."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ...errors import InputError, JournalError, OutputError
from ...files.atomic import sync_folder
from ...files.locks import acquire_lock
from .encoding import SUFFIX, JournalSpan, checked, decode, pieces
from .store import journal_files


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a journal file that are no record; `reason` in words."""

    position: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """One journal file: its size, its whole records with their places, what is damaged, tokens that were paid."""

    path: Path
    size: int
    records: tuple[JournalSpan, ...]
    damage: tuple[Damage, ...]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class JournalReport:
    """All files of a journal, in the order in which they are read."""

    folder: Path
    files: tuple[FileReport, ...]

    @property
    def records(self) -> int:
        return sum(len(file.records) for file in self.files)

    @property
    def damaged(self) -> int:
        return sum(len(file.damage) for file in self.files)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def last(self) -> dict[bytes | None, tuple[Path, JournalSpan]]:
        """Where every key was recorded last, as a Journal reads it."""
        return {piece.key: (file.path, piece) for file in self.files for piece in file.records}

    @property
    def keys(self) -> int:
        """Different keys: answers that can be had."""
        return len(self.last())


def journal_of(path: Path) -> Path:
    """The journal folder that is meant by a result's folder or by the journal's own; InputError when there is none."""
    if not os.path.isdir(path):
        raise InputError(
            f"there is no folder {path}: give the -o folder of a `rerank`, a `reproduce` or a `synthesize`"
        )
    if (path / "journal").is_dir():
        return path / "journal"
    if path.name == "journal" or journal_files(path):
        return path
    raise InputError(f"{path} holds no journal: give a folder with journal/ in it, or with *{SUFFIX} files")


def inspect(folder: Path, files: Sequence[Path] | None = None) -> JournalReport:
    """Reads every record of the journal, or of these files of it; JournalError when one cannot be read."""
    chosen = journal_files(folder) if files is None else files
    return JournalReport(folder, tuple(_file(path) for path in chosen))


def _file(path: Path) -> FileReport:
    records: list[JournalSpan] = []
    damage: list[Damage] = []
    tokens_in = tokens_out = 0
    try:
        with open(path, "rb") as scanned, open(path, "rb") as read:
            for piece in pieces(scanned):
                read.seek(piece.position)
                content = read.read(piece.length)
                record = checked(content)
                completion = decode(record[1]) if record is not None else None
                if completion is None:
                    damage.append(Damage(piece.position, piece.length, _reason(content)))
                else:
                    records.append(piece)
                    tokens_in += completion.prompt_tokens
                    tokens_out += completion.completion_tokens
            size = scanned.tell()
    except OSError as error:
        raise JournalError(f"journal {path} cannot be read: {error.strerror}") from error
    return FileReport(path, size, tuple(records), tuple(damage), tokens_in, tokens_out)


def _reason(content: bytes) -> str:
    if not content.strip(b"\0"):
        return "zeros, as a crash of the machine leaves them"
    if not content.endswith(b"\n"):
        return "a record without its end: torn, or being written right now"
    return "no record, or one whose checksum does not hold" if checked(content) is None else "no completion"


@contextmanager
def held_alone(folder: Path) -> Iterator[list[Path]]:
    """The files that nobody else writes during the block; InputError when somebody does, or when it cannot be told.

    A journal that is opened meanwhile begins a file of its own, which is not among them.
    """
    parts = [*folder.parent.glob("*/journal/lock"), *folder.parent.glob("*/*/journal/lock")]
    shared = parts if folder.name == "journal" else []  # the tasks of a `reproduce`, which share one journal
    with ExitStack() as stack:
        for path in (folder / "lock", *shared):
            lock = FileLock(path, timeout=0)
            if not acquire_lock(folder, lock, "wait until it has ended"):
                raise _unlockable(folder)
            stack.callback(lock.release)
        files = journal_files(folder)
        for path in files:  # open for writing: some network file systems lock nothing else
            _lock(folder, stack.enter_context(open(path, "r+b")).fileno())
        yield files


def _lock(folder: Path, handle: int) -> None:
    import fcntl  # not on every system

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise InputError(
                f"{folder} is being written by another process: wait until it has ended"
            ) from None
        raise _unlockable(folder) from error


def _unlockable(folder: Path) -> InputError:
    return InputError(
        f"{folder} cannot be locked on this file system, so another process may be writing it: "
        "copy the folder to a local disk and prune it there"
    )


def prune(report: JournalReport) -> None:
    """One file in place of the report's, every key once, as it was recorded last; damaged bytes are dropped.

    The old files go only when the new one is on the disk: killed at any point, no answer is lost. The caller
    holds the folder (`held_alone`) since before the report was made. OutputError when the disk is full.
    """
    name = f"pruned-{secrets.token_hex(4)}"
    part = report.folder / f".{name}.part"
    kept = report.last()
    try:
        try:
            if kept:
                _copy(kept, part)
                os.replace(part, report.folder / f"{name}{SUFFIX}")
                sync_folder(report.folder)
        finally:
            part.unlink(missing_ok=True)
        for file in report.files:
            file.path.unlink()
        sync_folder(report.folder)
    except OSError as error:
        raise OutputError(f"{report.folder} cannot be pruned: {error.strerror}; no answer is lost") from error


def _copy(kept: dict[bytes | None, tuple[Path, JournalSpan]], target: Path) -> None:
    with open(target, "xb") as out:
        for path in dict.fromkeys(path for path, _ in kept.values()):
            with open(path, "rb") as stream:
                for piece in (piece for where, piece in kept.values() if where == path):
                    stream.seek(piece.position)
                    out.write(stream.read(piece.length))
        out.flush()
        os.fsync(out.fileno())
