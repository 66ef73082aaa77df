"""What a user reads about a journal: damaged records, a disk that refuses, a folder in use."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError, JournalError
from .encoding import checked


def damaged_records(count: int, folder: Path) -> str:
    """How many records were skipped, and the command that shows where they are."""
    records = "record was" if count == 1 else "records were"
    where = f"`reasonrank journal verify {folder}` shows where"
    return f"{count} damaged {records} skipped and must be generated again: {where}"


def damage_reason(content: bytes) -> str:
    """Why these bytes of a journal file are not a usable record."""
    if not content.strip(b"\0"):
        return "zeros, as left by a crash of the machine"
    if not content.endswith(b"\n"):
        return "an incomplete record: cut short, or still being written"
    return "not a record, or one with a wrong checksum" if checked(content) is None else "not a completion"


def unreadable(path: Path, error: OSError) -> JournalError:
    """For a file or folder that the system will not read."""
    way_out = "make it readable, or move it away and have its answers generated again"
    return JournalError(f"journal {path} cannot be read: {error.strerror}; {way_out}")


def unwritable(path: Path, reason: str | None, *, before: bool = False) -> JournalError:
    """For a file that cannot be written; `before`: by an earlier call."""
    what = "could not be written before" if before else "cannot be written"
    way_out = "the answers recorded so far are kept: mend that and run the same command again"
    return JournalError(f"journal {path} {what}: {reason}; {way_out}")


def in_use(folder: Path) -> InputError:
    """For a folder that another process writes."""
    return InputError(f"{folder} is being written by another process: wait until it has ended")


def unlockable(folder: Path) -> InputError:
    """For a file system without locks, where other writers cannot be detected."""
    return InputError(
        f"{folder} cannot be locked on this file system, so another process may be writing it: "
        "copy the folder to a local disk and prune it there"
    )
