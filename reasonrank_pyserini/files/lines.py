"""Lines and JSON objects of text files, plain or gzip; every complaint names the file and the line."""

from __future__ import annotations

import difflib
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError

BOM = b"\xef\xbb\xbf"
GZIP_MAGIC = b"\x1f\x8b"
LINE_SPACE = " \t\r\n"


def check_file(path: str | Path, kind: str = "file") -> Path:
    """The path, if it is a readable file; InputError with the nearest name in its folder otherwise."""
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{kind} {path} is a folder, not a file")
        if path.exists() and not path.is_file():
            raise InputError(
                f"{kind} {path} is a pipe or device: save it to a file, it is read more than once"
            )
        with path.open("rb"):
            return path
    except FileNotFoundError as error:
        raise InputError(f"there is no {kind} {path}{_nearest(path)}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{kind} {path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _nearest(path: Path) -> str:
    try:
        beside = [other.name for other in path.parent.iterdir()]
    except OSError:
        return f" (nor a readable folder {path.parent})"
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f": did you mean {path.parent / close[0]}?" if close else ""


@contextmanager
def open_bytes(path: str | Path) -> Iterator[Iterable[bytes]]:
    """The file's lines as bytes, decompressed if they are gzip (told by content, not by name)."""
    with check_file(path).open("rb") as stream:
        if stream.read(2) == GZIP_MAGIC:
            stream.seek(0)
            with gzip.GzipFile(fileobj=stream) as unpacked:
                yield unpacked
        else:
            stream.seek(0)
            yield stream


def raw_lines(path: str | Path, shown: str | Path | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Every line as (number from 1, byte offset, bytes with line end); lines end at LF only.

    Complaints name `shown`, where that is not the path itself.
    """
    number, offset, shown = 0, 0, shown or path
    with open_bytes(path) as stream:
        try:
            for raw in stream:
                number += 1
                yield number, offset, raw
                offset += len(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(shown, number + 1, f"damaged gzip file: {error}") from error
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
    """(number, text) of every line that holds more than blanks."""
    for number, _, raw in raw_lines(path):
        text = decode(path, number, raw)
        if text.strip():
            yield number, text


def parse_object(path: str | Path, number: int | None, text: str) -> dict[str, Any]:
    """The JSON object that a line holds."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(path, number, f"not JSON: {error.msg} (column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, number, f"not usable JSON: {str(error).splitlines()[0]}") from error
    return _as_object(path, number, value)


def _as_object(path: str | Path, number: int | None, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FileFormatError(path, number, f"expected a JSON object, found {json_type(value)}")
    return value


def json_type(value: object) -> str:
    """What JSON calls the type of a parsed value, with its article."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def starts_with(path: str | Path) -> str:
    """The first 16 characters of the file that are neither blank nor a byte order mark."""
    first = next(read_lines(path), (0, ""))
    return first[1].lstrip()[:16]


def read_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a JSONL file, or of a file that is one JSON array of objects."""
    if starts_with(path).startswith("["):
        yield from _read_array(path)
        return
    for number, text in read_lines(path):
        yield number, parse_object(path, number, text)


def _read_array(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = "\n".join(decode(path, number, raw) for number, _, raw in raw_lines(path))
    decoder = json.JSONDecoder()
    number, counted, position = 1, 0, text.index("[") + 1
    more = False
    while True:
        position = _skip_blanks(text, position)
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
        position = _skip_blanks(text, position)
        more = text[position : position + 1] == ","
        position += more
        if not more and text[position : position + 1] != "]":
            line = 1 + text.count("\n", 0, position)
            raise FileFormatError(path, line, "not JSON: expected ',' or ']' between the array's objects")
    if text[position + 1 :].strip():
        raise FileFormatError(path, None, "not JSON: text after the array's end")


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in LINE_SPACE:
        position += 1
    return position
