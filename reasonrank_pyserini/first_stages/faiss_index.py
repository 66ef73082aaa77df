"""Faiss flat indexes in Pyserini's layout, files `index` and `docid`: find, check, build."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError
from ..types import Document
from .encoders import Encoder
from .prebuilt import catalogue, download_prebuilt

_CHUNK = 1024
"""Documents encoded between two additions to the index."""

Progress = Callable[[int], object]
"""Called with the number of passages read since the last call."""


def write_index(
    faiss: Any, folder: Path, documents: Iterable[Document], encoder: Encoder, progress: Progress | None
) -> None:
    """Encode the documents in a stream and write their index; of documents with the same id the first counts."""
    index: Any = None
    ids: dict[str, None] = {}
    for chunk in _chunks(documents):
        fresh: dict[str, Document] = {}
        for document in chunk:
            if document.id not in ids:
                fresh.setdefault(document.id, document)
        if fresh:
            vectors = encoder.encode_passages(list(fresh.values()))
            index = index or faiss.IndexFlatIP(vectors.shape[1])
            index.add(vectors)
            ids.update(dict.fromkeys(fresh))
        if progress is not None:
            progress(len(chunk))
    if index is None:
        raise InputError("the corpus has no documents: nothing to index")
    _write(faiss, index, folder / "index")
    _write_ids(folder, ids)


def _write(faiss: Any, index: Any, path: Path) -> None:
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # Faiss reports a full disk like this
        raise OSError(
            errno.EIO, f"Faiss could not write it ({' '.join(str(error).split())[-200:]})"
        ) from error


def _write_ids(folder: Path, ids: Iterable[str]) -> None:
    """Pyserini strips its docid lines: if that changes any id, the exact ids are kept in docids.json."""
    exact = list(ids)
    lines = [" ".join(id.split()) for id in exact]
    (folder / "docid").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace")
    if lines != exact:
        (folder / "docids.json").write_text(json.dumps(exact), encoding="utf-8")


def read_exact_ids(folder: Path) -> list[str] | None:
    """The docids by position if Pyserini's own file cannot represent them, else None."""
    exact = folder / "docids.json"
    return json.loads(exact.read_text(encoding="utf-8")) if exact.is_file() else None


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    stream = iter(documents)
    while chunk := list(islice(stream, _CHUNK)):
        yield chunk


def find_faiss_index(index: str | Path) -> Path:
    """The folder of a Faiss index: the one given, or that of a prebuilt index, which Pyserini downloads."""
    folder = Path(os.path.expanduser(index))
    if folder.is_dir():
        return _checked(folder)
    if folder.exists() or isinstance(index, Path) or index.startswith((".", "~", "/")):
        raise InputError(f"there is no index folder {index}: give one with Pyserini's files index and docid")
    known = catalogue("FAISS_INDEX_INFO")
    if index not in known:
        raise UnknownNameError("Faiss index", index, known, "or give a folder with its index")
    return _checked(download_prebuilt(index, known[index], "give a folder with its index"))


def _checked(folder: Path) -> Path:
    missing = [name for name in ("index", "docid") if not (folder / name).is_file()]
    if missing:
        way_out = (
            "this is a Lucene index: use `method` bm25 or bm25q"
            if any(folder.glob("segments_*"))
            else "give a `corpus` to build one"
        )
        raise InputError(f"{folder} is not a Faiss index (file {' and '.join(missing)} missing): {way_out}")
    return folder
