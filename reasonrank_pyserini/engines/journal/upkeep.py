"""Maintenance of a journal: what it holds, what is damaged, and merging its files into one."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, OutputError
from ...files.atomic import sync_file, sync_folder
from ...files.locks import acquire_lock, file_lock
from .encoding import SUFFIX, JournalSpan, checked, decode, spans
from .journal_messages import damage_reason, in_use, unlockable, unreadable
from .store import journal_files


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a journal file that are not a usable record; `reason` in words."""

    position: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class FileReport:
    """One journal file: size in bytes, whole records, damage, and the tokens of the records."""

    path: Path
    size: int
    records: tuple[JournalSpan, ...]
    damage: tuple[Damage, ...]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class JournalReport:
    """All files of a journal, in reading order."""

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
        """Where each key was last recorded, which is what a Journal reads."""
        return {span.key: (file.path, span) for file in self.files for span in file.records}

    @property
    def keys(self) -> int:
        """Distinct keys: answers that can be read."""
        return len(self.last())


def journal_of(path: Path) -> Path:
    """The journal folder of a result folder, or the folder itself if it is one; InputError when there is none."""
    if not os.path.isdir(path):
        raise InputError(
            f"there is no folder {path}: give the output folder of a rerank, reproduce or synthesize run"
        )
    if (path / "journal").is_dir():
        return path / "journal"
    if path.name == "journal" or journal_files(path):
        return path
    raise InputError(f"{path} holds no journal: give a folder that contains journal/ or *{SUFFIX} files")


def inspect(folder: Path, files: Sequence[Path] | None = None) -> JournalReport:
    """Read every record of the journal, or of these of its files; JournalError when a file cannot be read."""
    chosen = journal_files(folder) if files is None else files
    return JournalReport(folder, tuple(_file(path) for path in chosen))


def _file(path: Path) -> FileReport:
    records: list[JournalSpan] = []
    damage: list[Damage] = []
    tokens_in = tokens_out = 0
    try:
        with open(path, "rb") as scanned, open(path, "rb") as read:
            for span in spans(scanned):
                read.seek(span.position)
                content = read.read(span.length)
                record = checked(content)
                completion = decode(record[1]) if record is not None else None
                if completion is None:
                    damage.append(Damage(span.position, span.length, damage_reason(content)))
                else:
                    records.append(span)
                    tokens_in += completion.prompt_tokens
                    tokens_out += completion.completion_tokens
            size = scanned.tell()
    except OSError as error:
        raise unreadable(path, error) from error
    return FileReport(path, size, tuple(records), tuple(damage), tokens_in, tokens_out)


@contextmanager
def held_alone(folder: Path) -> Iterator[list[Path]]:
    """The files, held so that no other process writes them during the block.

    InputError when one does, or where the file system has no locks. A journal opened meanwhile starts a file
    of its own, which is not among them.
    """
    parts = [*folder.parent.glob("*/journal/lock"), *folder.parent.glob("*/*/journal/lock")]
    shared = parts if folder.name == "journal" else []  # the tasks of a reproduce run share one journal
    with ExitStack() as stack:
        for path in (folder / "lock", *shared):
            lock = file_lock(path, timeout=0)
            if not acquire_lock(folder, lock, "wait until it has ended"):
                raise unlockable(folder)
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
            raise in_use(folder) from None
        raise unlockable(folder) from error


def prune(report: JournalReport) -> None:
    """Replace the report's files by one that holds the last record of every key and no damage.

    The old files are removed only once the new one is on the disk, so no answer is lost if it is killed. The
    caller must have held the folder (`held_alone`) since before it made the report. OutputError when the disk
    is full.
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
                for span in (span for where, span in kept.values() if where == path):
                    stream.seek(span.position)
                    out.write(stream.read(span.length))
        out.flush()
        sync_file(out.fileno())
