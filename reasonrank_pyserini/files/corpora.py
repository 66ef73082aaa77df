"""Corpus files: JSONL with `id` and `contents` (or `title` and `text`; BEIR's `_id`), read by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from ..errors import FileFormatError, InputError
from ..types import Document
from .caches import cache_root, cached_folder, file_sha256
from .corpus_index import CorpusFile, CorpusIndex, build_index, load_index, parse_document, save_index
from .kinds import other_format, resemblance
from .lines import GZIP_MAGIC, check_file, raw_lines

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


class Corpus:
    """A `datasets.Docstore` over a JSONL file, plain or .gz, or over a folder of them in name order.

    Documents are found through an index of byte offsets (16 bytes a document), built in one scan when it is
    first needed; the scan rejects bad lines and repeated ids. A .gz file is unpacked once into the cache; the
    index of a corpus above `keep_index_above` bytes is kept there too. Thread-safe. InputError for a file that
    changes after the scan.
    """

    def __init__(self, path: str | Path, *, keep_index_above: int = 64 << 20) -> None:
        self.path = Path(path)
        self._sources = _sources(self.path)
        self._keep_index_above = keep_index_above
        self._lock = Lock()
        self._index: CorpusIndex | None = None

    def __len__(self) -> int:
        return len(self._open())

    @property
    def sha256(self) -> str:
        """sha256 of the uncompressed bytes of the files, in name order, hex."""
        return self._open().sha256

    def __iter__(self) -> Iterator[Document]:
        """Every document, in corpus order; does not check for repeated ids."""
        for source in self._sources:
            for number, _, raw in raw_lines(source):
                if (document := parse_document(source, number, raw)) is not None:
                    yield document

    def present(self, ids: Iterable[str]) -> set[str]:
        """The ids that have a document, by the index alone: 64-bit hashes of ids."""
        return {id for _, id in self._open().find(list(ids))}

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for; ids without a document are left out."""
        index = self._open()
        wanted = list(dict.fromkeys(ids))
        found = index.find(wanted)
        read = zip(found, index.read(place for place, _ in found), strict=True)
        documents = {id: document for (_, id), document in read if document.id == id}
        return {id: documents[id] for id in wanted if id in documents}

    def _open(self) -> CorpusIndex:
        with self._lock:
            if self._index is None:
                files = [_plain(source) for source in self._sources]
                kept = sum(file.size for file in files) > self._keep_index_above
                self._index = _kept_index(files) if kept else build_index(files)
            return self._index


def _sources(path: Path) -> list[Path]:
    if not path.is_dir():
        return [check_file(path, "corpus")]
    if beir := [path / name for name in ("corpus.jsonl", "corpus.jsonl.gz") if (path / name).is_file()]:
        return beir[:1]
    files = (file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
    found = sorted(file for file in files if not file.name.startswith("."))
    if not found:
        inside = ", ".join(sorted(file.name for file in path.iterdir())[:5]) or "nothing"
        raise InputError(f"corpus folder {path} has no {', '.join(SUFFIXES)} (it has {inside}): {_FORM}")
    return found


def _plain(source: Path) -> CorpusFile:
    with check_file(source, "corpus").open("rb") as stream:
        head = stream.read(4096)
    packed = head.startswith(GZIP_MAGIC)
    if not packed:
        _check_format(source, head)
    plain = source
    if packed:
        content = {"layout": 1, "gzip_sha256": file_sha256(source)}
        plain = _cached("corpus-unpacked", content, lambda to: _unpack(source, to)) / "corpus.jsonl"
    state = plain.stat()
    return CorpusFile(source, plain, state.st_size, state.st_mtime_ns)


_FORM = 'give JSONL, plain or .gz, one {"id": "d1", "contents": "a passage"} a line'


def _check_format(source: Path, head: bytes) -> None:
    """FileFormatError for a file that does not begin as JSONL does."""
    if what := other_format(head):
        raise FileFormatError(source, None, f"{what}: {_FORM}")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start and not start.startswith(b"{"):
        line = start.partition(b"\n")[0]
        hint = "; this looks like TSV" if b"\t" in line and line[:1] != b"[" else resemblance(line)
        number = 1 + head[: len(head) - len(start)].count(b"\n")
        raise FileFormatError(source, number, f"not JSONL{hint}: {_FORM}")


def _kept_index(files: list[CorpusFile]) -> CorpusIndex:
    state = [[str(file.plain.resolve()), file.size, file.mtime_ns] for file in files]
    content = {"layout": 1, "files": state}
    return load_index(files, _cached("corpus-index", content, lambda to: save_index(build_index(files), to)))


def _unpack(source: Path, folder: Path) -> None:
    with (folder / "corpus.jsonl").open("wb") as plain:
        for number, _, raw in raw_lines(source):
            if number == 1:
                _check_format(source, raw)
            plain.write(raw)


def _cached(kind: str, content: dict[str, Any], build: Callable[[Path], None]) -> Path:
    try:
        return cached_folder(kind, content, build)
    except OSError as error:
        where = f"{cache_root()}: {error.strerror or error}"
        raise InputError(
            f"the cache cannot be used ({where}): name another folder in REASONRANK_CACHE"
        ) from error
