"""The format of a journal file: a line `crc32 key json` per completion, and what can be read of a damaged file."""

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
"""Bytes read as one line at most: a longer line is not a journal record."""
_HEAD = re.compile(rb"[0-9a-f]{8} [0-9a-f]{64} ")
_CRC, _KEY = 9, 74
_FIELDS = {field.name for field in fields(Completion)}


@dataclass(frozen=True, slots=True)
class JournalSpan:
    """A range of bytes of a file: a whole record and its key, or with `key` None bytes that are not a record."""

    position: int
    length: int
    key: bytes | None


def encode(key: str, completion: Completion) -> bytes:
    """The record of a completion under a key of 64 hex digits, with its end of line."""
    fields = asdict(completion)
    if completion.logprobs is None:
        del fields["logprobs"]
    body = f"{key} {json.dumps(fields)}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def checked(line: bytes) -> tuple[bytes, bytes] | None:
    """Key and JSON of a line that is exactly one record with the right checksum, else None."""
    if line[-1:] != b"\n" or not _HEAD.match(line) or int(line[:8], 16) != zlib.crc32(line[_CRC:-1]):
        return None
    return bytes.fromhex(line[_CRC : _KEY - 1].decode()), line[_KEY:-1]


def decode(text: bytes) -> Completion | None:
    """The completion in a record's JSON, without fields of later versions; None for anything else."""
    with suppress(TypeError, ValueError, AttributeError):
        found = json.loads(text)
        completion = Completion(**{name: value for name, value in found.items() if name in _FIELDS})
        ids, logprobs = completion.token_ids, completion.logprobs
        return replace(
            completion,
            token_ids=None if ids is None else tuple(ids),
            logprobs=None if logprobs is None else {int(id): value for id, value in logprobs.items()},
        )
    return None


def spans(stream: IO[bytes]) -> Iterator[JournalSpan]:
    """The spans of a file in order; every byte is in exactly one.

    A whole record is also found where a torn record or zeros come before it on the same line.
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
    """The spans of a damaged line: the damage, then the whole record at its end if there is one.

    Text inside a record cannot be mistaken for a record: JSON escapes its quotes as `\\"`, which starts no object.
    """
    for head in _HEAD.finditer(line, 1):
        begin = head.start()
        found = checked(line[begin:])
        if found is not None and decode(found[1]) is not None:
            yield JournalSpan(position, begin, None)
            yield JournalSpan(position + begin, len(line) - begin, found[0])
            return
    yield JournalSpan(position, len(line), None)
