"""Output paths, checked before the work, and a standard output reserved for results."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError


def check_output(path: str) -> None:
    """InputError when no file can be written at `path`; called before the work, so that no work is lost."""
    if path == "-":
        if sys.stdout is None:
            raise InputError("`output` -: standard output is closed; give a file")
        return
    target = Path(path)
    _check_name(target)
    if target.is_dir():
        raise InputError(f"`output` {path} is a folder: give a file in it")
    if target.exists() and not target.is_file():
        if not os.access(target, os.W_OK):
            raise InputError(f"`output` {path}: no permission to write there")
        return
    parent = target.resolve().parent
    if not parent.is_dir():
        raise InputError(f"`output` {path}: there is no folder {parent}: make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"`output` {path}: no permission to write in {parent}")


def check_folder(path: Path) -> None:
    """InputError when `path` cannot be used as a folder; called before the work, makes nothing."""
    _check_name(path)
    there = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        what = f"a link to {os.readlink(there)}, which is not there" if there.is_symlink() else "a file"
        raise InputError(f"`output` {path} cannot be used as a folder: {there} is {what}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"`output` {path}: no permission to write in {there}")


def check_current_folder() -> None:
    """InputError when the folder that this process works in has been removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the current folder has been removed: change to one that exists") from None


def _check_name(path: Path) -> None:
    """InputError for a path that the system will not look at: too long, a circle of links, a closed folder."""
    if not path.is_absolute():
        check_current_folder()
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"`output` {path} cannot be used: {reason}") from error


def make_folder(path: Path) -> None:
    """Make the output folder if it does not exist; InputError when it cannot be used."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`output` {path} cannot be used as a folder: {error.strerror}") from error


@contextmanager
def clean_stdout() -> Iterator[None]:
    """During the block everything printed, also by C and Java code, goes to standard error."""
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # standard output is closed: nothing to keep clean
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
