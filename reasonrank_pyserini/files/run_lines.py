"""Lines of plain or gzipped text files, with their numbers."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import FileFormatError, InputError

_GZIP = b"\x1f\x8b"
_LONGEST = 1 << 20
"""More bytes than any line of a run or qrels file has: what is longer is another kind of file."""


def numbered_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line) of every line that is not blank, streamed; `-` is standard input.

    Lines come as UTF-8 bytes, checked, without byte-order mark and line end (LF or CRLF); gzip is known by
    its first bytes. Raises InputError for a path that cannot be opened, FileFormatError for what is not text.
    """
    with _opened(path) as stream:
        number = 0
        try:
            for number, line in enumerate(_bounded(stream, path), 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if not line.isascii():
                    line.decode()
                if (line := line.rstrip(b"\r\n")) and not line.isspace():
                    yield number, line
        except UnicodeDecodeError as error:
            raise FileFormatError(
                path, number, f"not UTF-8 (byte 0x{error.object[error.start]:02x})"
            ) from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(path, number + 1, "the gzip data is damaged or cut short") from error
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _bounded(stream: BinaryIO, path: str | Path) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST:
            raise FileFormatError(
                path, number, f"a line of {_LONGEST:,} bytes or more: not a file of this kind"
            )
        yield line


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        if str(path) == "-":
            raw: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
            stack.callback(raw.detach)
        else:
            raw = stack.enter_context(_open_file(path))
        if raw.peek(2)[:2] == _GZIP:
            yield cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
        else:
            yield raw


def _open_file(path: str | Path) -> io.BufferedReader:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}{_nearest(Path(path))}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give a file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _nearest(path: Path) -> str:
    with contextlib.suppress(OSError):
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
        if close := difflib.get_close_matches(path.name, beside, n=1):
            return f"; did you mean {path.parent / close[0]}?"
    return ""


def printable(text: str) -> str:
    """The text as it is, or with escapes where it could drive a terminal."""
    return text if text.isprintable() else ascii(text)
