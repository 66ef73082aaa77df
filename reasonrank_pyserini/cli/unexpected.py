"""One line for a failure that nothing foresaw: of the machine, or a bug; its traceback goes to a file."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from contextlib import suppress

import click

from .. import __version__
from ..errors import InputError, one_line
from ..files.outputs import check_current_folder
from .option_names import with_options

_PATH_ERRORS = {
    errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOENT,
}  # fmt: skip
_MACHINE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE,
    errno.ENOMEM, errno.EAGAIN,
}  # fmt: skip


def say(message: str, status: int) -> int:
    """Print one line on standard error; `status`."""
    click.echo(f"reasonrank: {with_options(' '.join(message.splitlines()))}", err=True)
    return status


def drop_stdout() -> None:
    """Give up standard output, so that what is left in its buffer is not tried again at the exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def unexpected(error: BaseException) -> int:
    """Say in one line what happened, and where its traceback is; the exit status."""
    if isinstance(error, OSError) and _while_printing(error):
        drop_stdout()
        return say(f"cannot write to standard output: {error.strerror}", 1)
    try:
        check_current_folder()
    except InputError as gone:
        return say(str(gone), 2)
    log = _write_log(error)
    message, status = _of_machine(error)
    if message:
        where = f"details are in {log}" if log else "`reasonrank --debug COMMAND` shows where"
        return say(f"{message} ({where})", status)
    advice = f"report it with {log}; " if log else "no log of it could be written; "
    name = f"{type(error).__name__}: {one_line(error, 160)}"
    return say(f"unexpected {name} (this is a bug: {advice}`reasonrank --debug COMMAND` shows where)", 1)


def _while_printing(error: OSError) -> bool:
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


def _of_machine(error: BaseException) -> tuple[str, int]:
    """What the machine refused, and the exit status; no message for a failure of the program's own."""
    if isinstance(error, MemoryError):
        return "there is not enough memory", 1
    if (
        isinstance(error, ImportError)
        and error.path is not None
        and not isinstance(error, ModuleNotFoundError)
    ):
        return f"an installed package cannot be loaded: {one_line(error, 160)}", 1
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "the system refuses another thread: see `ulimit -u`", 1
    if not isinstance(error, OSError) or error.errno not in _PATH_ERRORS | _MACHINE_ERRORS:
        return "", 1
    name = "" if error.filename is None else f"{one_line(str(error.filename), 120)}: "
    if error.errno in _PATH_ERRORS:
        return (f"{name}{error.strerror}", 2) if name else ("", 1)
    hint = ": see `ulimit -n`" if error.errno in (errno.EMFILE, errno.ENFILE) else ""
    return f"{name}{error.strerror}{hint}", 1


def _write_log(error: BaseException) -> str | None:
    """The name of a new file with the traceback; None where none can be written."""
    try:
        handle, name = tempfile.mkstemp(prefix="reasonrank-error-", suffix=".log")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"reasonrank {__version__} {sys.argv[1:]}\n")
            traceback.print_exception(error, file=log)
    except OSError:
        return None
    return name
