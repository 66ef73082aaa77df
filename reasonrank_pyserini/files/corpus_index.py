"""The byte offset of each document of a corpus, by a sorted 64-bit hash of its id."""

from __future__ import annotations

import hashlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from ..types import Document
from .document_records import DOCUMENT_IDS, find_document, find_id
from .lines import decode, parse_object, raw_lines


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file of a corpus: `shown` is the path in messages, `plain` the uncompressed file, as it was when scanned."""

    shown: Path
    plain: Path
    size: int
    mtime_ns: int

    def check_unchanged(self) -> None:
        """InputError when the file has changed since it was scanned."""
        try:
            state = self.plain.stat()
        except OSError as error:
            raise InputError(f"corpus {self.shown} can no longer be read: {error.strerror}") from error
        if (state.st_size, state.st_mtime_ns) != (self.size, self.mtime_ns):
            raise InputError(f"corpus {self.shown} changed while it was in use: run the command again")


class CorpusIndex:
    """Finds lines by id: `hashes` ascending, and in the same order `places`, offsets into the concatenated files."""

    def __init__(self, files: Sequence[CorpusFile], hashes: Any, places: Any, sha256: str) -> None:
        self.files, self.hashes, self.places, self.sha256 = tuple(files), hashes, places, sha256
        self._starts = [0, *accumulate(file.size for file in files)][:-1]

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, ids: Sequence[str]) -> list[tuple[int, str]]:
        """(place, id) by ascending place; several for an id that shares its hash with others."""
        import numpy as np

        hashes = np.array([_hash(id) for id in ids], dtype=np.uint64)
        first, last = (np.searchsorted(self.hashes, hashes, side) for side in ("left", "right"))
        spans = zip(ids, first.tolist(), last.tolist(), strict=True)
        return sorted((int(self.places[at]), id) for id, start, end in spans for at in range(start, end))

    def read(self, places: Iterable[int]) -> Iterator[Document]:
        """The documents at those places; a file is opened once for consecutive places in it."""
        ordered = ((bisect_right(self._starts, place) - 1, place) for place in places)
        for number, group in groupby(ordered, key=lambda pair: pair[0]):
            file = self.files[number]
            file.check_unchanged()
            with file.plain.open("rb") as stream:
                for _, place in group:
                    stream.seek(place - self._starts[number])
                    document = parse_document(file.shown, None, stream.readline())
                    if document is None:
                        raise InputError(
                            f"corpus {file.shown} changed while it was in use: run the command again"
                        )
                    yield document

    def line_of(self, place: int) -> tuple[Path, int]:
        """The file and the line number of a place (reads the file up to it)."""
        owner = bisect_right(self._starts, place) - 1
        left, lines = place - self._starts[owner], 1
        with self.files[owner].plain.open("rb") as stream:
            while left > 0 and (block := stream.read(min(left, 1 << 20))):
                lines, left = lines + block.count(b"\n"), left - len(block)
        return self.files[owner].shown, lines


def parse_document(path: Path, number: int | None, raw: bytes) -> Document | None:
    """The document of a corpus line; None for an empty line, FileFormatError for a bad one."""
    text = decode(path, number, raw)
    if not text.strip():
        return None
    record = parse_object(path, number, text)
    return find_document(path, number, find_id(path, number, record, DOCUMENT_IDS), record)


def build_index(files: Sequence[CorpusFile]) -> CorpusIndex:
    """The index of those files, in one scan; FileFormatError for bad lines, repeated ids, no documents."""
    import numpy as np

    hashes, places, digest, start = array("Q"), array("Q"), hashlib.sha256(), 0
    for file in files:
        for number, offset, raw in raw_lines(file.plain, file.shown):
            digest.update(raw)
            if (id := _ordinary_id(raw) or _any_id(file.shown, number, raw)) is not None:
                hashes.append(_hash(id))
                places.append(start + offset)
        file.check_unchanged()
        start += file.size
    if not hashes:
        raise FileFormatError(
            files[0].shown,
            None,
            'has no documents; give JSONL, one {"id": "d1", "contents": "a passage"} a line',
        )
    keys, spots = np.frombuffer(hashes, dtype=np.uint64), np.frombuffer(places, dtype=np.uint64)
    order = np.argsort(keys, kind="stable")
    index = CorpusIndex(files, keys[order], spots[order], digest.hexdigest())
    _reject_repeats(index)
    return index


def _ordinary_id(raw: bytes) -> str | None:
    """The id of a line in the usual form, in half the time of a full parse; None when it needs one."""
    try:
        record = json.loads(raw.decode("utf-8"))
        id, text = record["id"], record["text"] if "text" in record else record["contents"]
        plain = type(id) is str and type(text) is str and type(record.get("title", "")) is str
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return id if plain and "segment" not in record and id.strip() else None


def _any_id(path: Path, number: int, raw: bytes) -> str | None:
    document = parse_document(path, number, raw)
    return None if document is None else document.id


def _reject_repeats(index: CorpusIndex) -> None:
    """FileFormatError for the first repeated id in corpus order; equal hashes of different ids are fine."""
    import numpy as np

    again = np.flatnonzero(index.hashes[1:] == index.hashes[:-1]) + 1
    for at in sorted(again.tolist(), key=lambda at: int(index.places[at])):
        first = int(np.searchsorted(index.hashes, index.hashes[at], "left"))
        places = [int(index.places[other]) for other in (*range(first, at), at)]
        *earlier, document = index.read(places)
        for place, other in zip(places, earlier, strict=False):
            if other.id == document.id:
                path, line = index.line_of(places[-1])
                where, before = index.line_of(place)
                seen = f"line {before}" if where == path else f"{where}:{before}"
                raise FileFormatError(path, line, f"repeated document id {document.id!r} (first on {seen})")


def save_index(index: CorpusIndex, folder: Path) -> None:
    """Write the index into an empty folder."""
    import numpy as np

    np.save(folder / "hashes.npy", index.hashes, allow_pickle=False)
    np.save(folder / "places.npy", index.places, allow_pickle=False)
    (folder / "sha256").write_text(index.sha256, encoding="ascii")


def load_index(files: Sequence[CorpusFile], folder: Path) -> CorpusIndex:
    """The saved index of those files, memory-mapped."""
    import numpy as np

    names = ("hashes.npy", "places.npy")
    hashes, places = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names)
    return CorpusIndex(files, hashes, places, (folder / "sha256").read_text(encoding="ascii"))


def _hash(id: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )
