"""Lines and JSON objects of text files, plain or gzip; every error names the file and the line."""

from __future__ import annotations

import difflib
import gzip
import io
import json
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from ..errors import FileFormatError, InputError
from .kinds import HEAD, other_format, resemblance

BOM = b"\xef\xbb\xbf"
GZIP_MAGIC = b"\x1f\x8b"
LINE_SPACE = " \t\r\n"
LONGEST_RUN_LINE = 1 << 20
"""Bytes; no line of a run or qrels file is as long, so a longer one belongs to another kind of file."""


def check_file(path: str | Path, kind: str = "file") -> Path:
    """The path, if it is a readable regular file; InputError with the nearest name in its folder otherwise."""
    path = Path(path)
    if str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        raise InputError(
            f"{kind} {path} is a pipe or device: save it to a file first, because it is read more than once"
        )
    with _open(path, kind):
        return path


def raw_lines(
    path: str | Path, shown: str | Path | None = None, longest: int = -1, *, json_too: bool = False
) -> Iterator[tuple[int, int, bytes]]:
    """Every line as (number from 1, byte offset, bytes with line end), streamed; lines end at LF only.

    Gzip is recognised by its first bytes, `-` is standard input. Errors name `shown` instead of the path.
    FileFormatError for damaged gzip data and for a line of `longest` bytes or more; with `json_too` the lines of a
    file that starts with a brace may be longer.
    """
    number, offset, shown = 0, 0, shown or path
    try:
        with _opened(path) as stream:
            head = stream.peek(HEAD)[:HEAD]
            if what := other_format(head):
                raise FileFormatError(
                    shown, None, f"{what}: give UTF-8 text (TREC, TSV, JSONL), plain or .gz"
                )
            if json_too and head.removeprefix(BOM).lstrip().startswith(b"{"):
                longest = -1
            while raw := stream.readline(longest):
                number += 1
                if len(raw) == longest:
                    problem = f"a line of {longest:,} bytes or more: not a file of this kind"
                    raise FileFormatError(shown, number, problem)
                yield number, offset, raw
                offset += len(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"the gzip data is damaged or cut short ({error})"
        raise FileFormatError(shown, number + 1, problem) from error
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {_reason(error)}") from error


def decode(path: str | Path, number: int | None, raw: bytes) -> str:
    """A line's text without line end and byte order mark; FileFormatError when it is not UTF-8."""
    try:
        return raw.removeprefix(BOM).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at position {error.start + 1}"
        problem = f"not UTF-8 ({byte}): convert the file to UTF-8"
        raise FileFormatError(path, number, problem) from error


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(number, text) of every line that holds more than white space."""
    for number, _, raw in raw_lines(path):
        text = decode(path, number, raw)
        if text.strip():
            yield number, text


def numbered_lines(path: str | Path, *, json_too: bool = False) -> Iterator[tuple[int, bytes]]:
    """`read_lines` as UTF-8 bytes, checked but not decoded: for run and qrels files, which may be large.

    Lines of LONGEST_RUN_LINE bytes or more are refused; `json_too` as for `raw_lines`.
    """
    for number, _, raw in raw_lines(path, longest=LONGEST_RUN_LINE, json_too=json_too):
        line = raw.removeprefix(BOM).rstrip(b"\r\n")
        if not line.isascii():
            decode(path, number, line)
        if line and not line.isspace():
            yield number, line


def starts_with(path: str | Path) -> str:
    """The first 16 characters of the file after white space and byte order mark."""
    first = next(read_lines(path), (0, ""))
    return first[1].lstrip()[:16]


def printable(text: str) -> str:
    """The text as it is, or escaped where it could control a terminal or looks like another text."""
    return text if _is_plain(text) else ascii(text)


def quoted(text: str) -> str:
    """The text in quotes, escaped where `printable` escapes it."""
    return repr(text) if _is_plain(text) else ascii(text)


def _is_plain(text: str) -> bool:
    return text.isprintable() and unicodedata.is_normalized("NFC", text)


def parse_object(path: str | Path, number: int | None, text: str) -> dict[str, Any]:
    """The JSON object that a line holds."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if text.strip() in ("{", "["):
            raise FileFormatError(
                path, number, "JSON over several lines: give JSONL, one object a line"
            ) from error
        hint = resemblance(text.encode(errors="replace")) if number == 1 and text.lstrip()[:1] != "{" else ""
        raise FileFormatError(path, number, f"not JSON: {error.msg} (column {error.colno}){hint}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, number, f"not usable JSON: {str(error).splitlines()[0]}") from error
    return _as_object(path, number, value)


def json_type(value: object) -> str:
    """The JSON name of a parsed value's type, with its article; a tuple is an object's pairs."""
    names = {
        dict: "an object",
        tuple: "an object",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return names.get(type(value), "a number")


def read_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a JSONL file, or of a file that is one JSON array of objects."""
    if starts_with(path).startswith("["):
        yield from _read_array(path)
        return
    for number, text in read_lines(path):
        yield number, parse_object(path, number, text)


def _open(path: str | Path, kind: str) -> io.BufferedReader[io.RawIOBase]:
    try:
        return cast("io.BufferedReader[io.RawIOBase]", open(path, "rb"))
    except FileNotFoundError:
        raise InputError(f"there is no {kind} {path}{_nearest(Path(path))}") from None
    except IsADirectoryError:
        run = Path(path) / "run.trec"
        found = run if kind == "run file" and run.is_file() else "a file"
        raise InputError(f"{kind} {path} is a folder: give {found}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{kind} {path} cannot be read: {_reason(error)}") from error


@contextmanager
def _opened(path: str | Path) -> Iterator[io.BufferedReader[Any] | gzip.GzipFile]:
    with ExitStack() as stack:
        if str(path) == "-":
            raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
            stack.callback(raw.detach)
        else:
            raw = _open(path, "file")
            stack.callback(raw.close)
        if raw.peek(2)[:2] == GZIP_MAGIC:
            yield stack.enter_context(gzip.GzipFile(fileobj=raw))
        else:
            yield raw


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _nearest(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return f": the folder {path.parent} does not exist or cannot be read"
    close = difflib.get_close_matches(path.name, names, n=1)
    return f": did you mean {path.parent / close[0]}?" if close else ""


def _as_object(path: str | Path, number: int | None, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FileFormatError(path, number, f"expected a JSON object, found {json_type(value)}")
    return value


def _read_array(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = "\n".join(decode(path, number, raw) for number, _, raw in raw_lines(path))
    decoder = json.JSONDecoder()
    number, counted, position = 1, 0, text.index("[") + 1
    more = False
    while True:
        position = _skip_spaces(text, position)
        number += text.count("\n", counted, position)
        counted = position
        if text[position : position + 1] == "]" and not more:
            break
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise FileFormatError(
                path, error.lineno, f"not JSON: {error.msg} (column {error.colno})"
            ) from error
        except (ValueError, RecursionError) as error:
            raise FileFormatError(path, number, f"not usable JSON: {str(error).splitlines()[0]}") from error
        yield number, _as_object(path, number, value)
        position = _skip_spaces(text, position)
        more = text[position : position + 1] == ","
        position += more
        if not more and text[position : position + 1] != "]":
            line = 1 + text.count("\n", 0, position)
            raise FileFormatError(path, line, "not JSON: expected ',' or ']' between the array's objects")
    if text[position + 1 :].strip():
        raise FileFormatError(path, None, "not JSON: text after the array's end")


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position] in LINE_SPACE:
        position += 1
    return position
