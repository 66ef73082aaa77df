"""Splits the body of an answer into the JSON values of its server-sent events, or the one value of a whole body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .http_error_body import BrokenAnswerError, page_title

MAX_LINE = 32 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """The value of one event, its first characters, and whether the server calls it an error."""

    value: Any
    start: str
    error: bool = False


@dataclass(slots=True)
class EventReader:
    """Call `feed` with the bytes as they arrive, `rest` and `whole` at the end; all raise BrokenAnswerError.

    Takes any line ends, pieces that end anywhere, events of several `data` lines, and events without empty lines
    between them.
    """

    done: bool = False
    _begun: bool = False
    _name: bytes = b""
    _rest: bytearray = field(default_factory=bytearray)
    _data: bytearray = field(default_factory=bytearray)
    _whole: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Event]:
        self._rest += data
        if b"\n" not in data and b"\r" not in data:
            if len(self._rest) > MAX_LINE:
                raise BrokenAnswerError("the server sent a line without end")
            return
        held = b"\r" if self._rest.endswith(b"\r") else b""  # its line feed may be the next byte
        text = self._rest[: len(self._rest) - len(held)]
        *lines, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held
        for line in lines:
            yield from self._line(line)

    def rest(self) -> Iterator[Event]:
        """The events of a last line without its end."""
        yield from self._line(self._rest.rstrip(b"\r"))
        yield from self._end_of_event()

    def whole(self) -> Iterator[Event]:
        """The value of a body that is not a stream."""
        if self._whole.strip():
            yield _event(self._whole, error=False)

    def _line(self, line: bytes | bytearray) -> Iterator[Event]:
        if not self._begun:
            self._begun, line = True, line.removeprefix(BOM)
        if not line.strip():
            yield from self._end_of_event()
            return
        if self.done or line.startswith(b":"):
            return
        name, colon, value = bytes(line).partition(b":")
        value = value.strip()
        if colon and name == b"data":
            yield from self._take(value)
        elif colon and name == b"event":
            self._name = value
        elif colon and name == b"error":  # llama.cpp
            yield _event(value, error=True)
        elif not (colon and name in (b"id", b"retry")):
            self._whole += bytes(line) + b"\n"
            if len(self._whole) > MAX_LINE:
                raise BrokenAnswerError("the server sent something that is not a completion")

    def _take(self, value: bytes) -> Iterator[Event]:
        """Read one `data` line: a whole value, or a part of one that ends with the event."""
        if value == b"[DONE]":
            yield from self._end_of_event()
            self.done = True
        elif value and not self._data:
            try:
                found = _json(value)
            except (ValueError, RecursionError):
                self._data += value
            else:
                yield Event(found, _start(value), self._name == b"error")
        elif value:
            self._data += b"\n" + value
            if len(self._data) > MAX_LINE:
                raise BrokenAnswerError("the server sent an event without end")

    def _end_of_event(self) -> Iterator[Event]:
        data, self._data = self._data, bytearray()
        error, self._name = self._name == b"error", b""
        if data:
            yield _event(data, error=error)


def _event(data: bytes | bytearray, *, error: bool) -> Event:
    try:
        return Event(_json(data), _start(data), error)
    except (ValueError, RecursionError):
        title = page_title(_start(data, 20_000))
    if title is not None:
        raise BrokenAnswerError(
            f"the server sent a web page ({title or 'without a title'}), not a completion: is `base_urls` the "
            "address of its API?"
        )
    if error:
        raise BrokenAnswerError(f"the server sent an error: {_start(data, 300)}")
    raise BrokenAnswerError(f"the server sent malformed JSON: {_start(data)}")


def _json(data: bytes | bytearray) -> Any:
    """The JSON value; bytes that are not UTF-8, which some servers send for half a character, are replaced."""
    return json.loads(data.decode("utf-8", "replace").removeprefix("\ufeff"), strict=False)


def _start(data: bytes | bytearray, length: int = 80) -> str:
    return data[:length].decode("utf-8", "replace")
