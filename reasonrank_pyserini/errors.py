"""The exceptions that this package raises.

ReasonRankError                 one line: what was asked, what exists, what to type next
├── InputError                  bad input: files, names, settings (exit 2)
│   ├── FileFormatError         a line of a file, as path:line
│   ├── UnknownNameError        a name that does not exist, with the nearest match
│   └── MissingPackageError     an optional package that must be installed first
├── OutputError                 a file that cannot be written: full disk, broken device
├── VerdictError                a judge's order that is not a permutation of its window
├── PromptTooLongError          a window that does not fit the model's context
├── EngineError                 a model call that failed permanently
│   └── EngineDiedError         the engine has stopped; no further call can succeed
│       └── ServersGoneError    its servers worked and are gone: the same run again continues (exit 75)
├── JournalError                a journal that cannot be written or read
│   └── ReplayMissError         a completion that a replay needs was never recorded
├── TooManyFailuresError        more FAILED answers than `max_failed` allows
└── ClosedError                 a Reranker used after close()
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """An exception or a text as one printable line of at most `limit` characters; an exception without a message gives
    its type."""
    text = str(error)[:10_000]
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    line = line or (type(error).__name__ if isinstance(error, BaseException) else "")
    return line if len(line) <= limit else line[: limit - 3] + "..."


class ReasonRankError(Exception):
    """Base class: the message is one line for the user."""


class InputError(ReasonRankError):
    """An input that cannot be used."""


class FileFormatError(InputError):
    """A line of a file that cannot be read; the message starts with `path:line:`, or `path:` for the whole file."""

    def __init__(self, path: str | Path, line: int | None, problem: str) -> None:
        self.path, self.line, self.problem = str(path), line, one_line(problem, limit=1000)
        where = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{where}: {self.problem}")


class UnknownNameError(InputError):
    """A name that does not exist; the message gives the nearest match and the names that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.name, self.known = name, tuple(sorted(set(known)))
        cutoff = 0.5 if len(name) > 5 else 0.6
        close = difflib.get_close_matches(name, self.known, n=1, cutoff=cutoff)
        nearest = f"did you mean {close[0]!r}? " if close else ""
        count = min(12, len(self.known))
        while count > 3 and len(", ".join(self.known[:count])) > 240:
            count -= 1
        shown = ", ".join(self.known[:count]) + (", ..." if len(self.known) > count else "")
        super().__init__(
            f"unknown {kind} {one_line(repr(name), 200)}: {nearest}known: {shown or 'none'}{hint and f' ({hint})'}"
        )


class MissingPackageError(InputError):
    """A package that is not installed; the message gives the command that installs it."""

    def __init__(self, package: str, purpose: str, install: str) -> None:
        self.package = package
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed: {install}")


class OutputError(ReasonRankError):
    """A file could not be written; what was at its path before is still there."""


class VerdictError(ReasonRankError):
    """A judge returned an order that is not a permutation of its window."""


class PromptTooLongError(ReasonRankError):
    """Even when shortened, the window and its answer do not fit the model's context."""


class EngineError(ReasonRankError):
    """A model call failed, after all retries."""


class EngineDiedError(EngineError):
    """The engine has stopped (process died, server unreachable): no further call can succeed."""


class ServersGoneError(EngineDiedError):
    """Every server of the engine is gone after it had worked: the same request continues once there are servers."""


class JournalError(ReasonRankError):
    """The journal cannot be written or read."""


class ReplayMissError(JournalError):
    """A completion that a replay needs was never recorded."""


class TooManyFailuresError(ReasonRankError):
    """More answers could not be read than `max_failed` allows."""


class ClosedError(ReasonRankError):
    """The Reranker has been closed."""
