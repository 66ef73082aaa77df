"""How a journal file is written: a line `crc32 key json` per completion, and what can be read of a damaged one."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import IO

from ...types import Completion

SUFFIX = ".journal"
LONGEST = 1 << 26
"""Bytes of a line that are looked at together: a longer one is no record of ours, whatever it holds."""
_HEAD = re.compile(rb"[0-9a-f]{8} [0-9a-f]{64} ")
_CRC, _KEY = 9, 74
_FIELDS = {field.name for field in fields(Completion)}


@dataclass(frozen=True, slots=True)
class JournalSpan:
    """A stretch of a file, in bytes: a whole record and its key, or (`key` None) bytes that are none."""

    position: int
    length: int
    key: bytes | None


def encode(key: str, completion: Completion) -> bytes:
    """The record of a completion under a key of 64 hex digits, its end of line included."""
    body = f"{key} {json.dumps(asdict(completion))}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def checked(line: bytes) -> tuple[bytes, bytes] | None:
    """Key and JSON of a line that is exactly one record and whose checksum holds, else None."""
    if line[-1:] != b"\n" or not _HEAD.match(line) or int(line[:8], 16) != zlib.crc32(line[_CRC:-1]):
        return None
    return bytes.fromhex(line[_CRC : _KEY - 1].decode()), line[_KEY:-1]


def decode(text: bytes) -> Completion | None:
    """The completion of a record's JSON, fields of later versions left out; None when it is none."""
    with suppress(TypeError, ValueError, AttributeError):
        found = json.loads(text)
        completion = Completion(**{name: value for name, value in found.items() if name in _FIELDS})
        ids = completion.token_ids
        return completion if ids is None else replace(completion, token_ids=tuple(ids))
    return None


def pieces(stream: IO[bytes]) -> Iterator[JournalSpan]:
    """What a file holds from its first byte to its last, in order; every byte is in exactly one piece.

    A record is found again behind the torn one, or the zeros, that took its beginning of line.
    """
    position = 0
    while line := stream.readline(LONGEST):
        found = checked(line)
        if found is not None:
            yield JournalSpan(position, len(line), found[0])
        else:
            yield from _salvaged(line, position)
        position += len(line)


def _salvaged(line: bytes, position: int) -> Iterator[JournalSpan]:
    """A damaged line, and the record at its end if a whole one is there.

    A text inside a record cannot pass for one: JSON writes its quotes as `\\"`, and no object begins so.
    """
    for head in _HEAD.finditer(line, 1):
        begin = head.start()
        found = checked(line[begin:])
        if found is not None and decode(found[1]) is not None:
            yield JournalSpan(position, begin, None)
            yield JournalSpan(position + begin, len(line) - begin, found[0])
            return
    yield JournalSpan(position, len(line), None)
