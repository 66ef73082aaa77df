"""Pyserini's prebuilt indexes by name, and folders of Lucene indexes."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from ..errors import InputError, UnknownNameError, one_line
from ..files.caches import cache_root
from ..files.locks import locked
from .java import import_pyserini

_OTHER_KINDS = {
    "IMPACT_INDEX_INFO": "an impact index, for learned sparse encoders",
    "LUCENE_HNSW_INDEX_INFO": "a dense index (HNSW)",
    "LUCENE_FLAT_INDEX_INFO": "a dense index in Lucene's format",
    "FAISS_INDEX_INFO": "a dense index, for `method` dense",
}
_LUCENE = "give a folder with a Lucene index"


def find_index(index: str | Path) -> Path:
    """The folder of a Lucene index: the one given, or a prebuilt one's, downloaded by Pyserini if needed.

    InputError for a folder without an index, a prebuilt index of another kind, a failed download;
    UnknownNameError for a name that Pyserini does not know.
    """
    path = Path(os.path.expanduser(index))
    if os.path.isdir(path):
        return _checked(path)
    if os.path.exists(path):
        raise InputError(f"index {index} is a file, not a folder: give a corpus file as `corpus`")
    if isinstance(index, Path) or "/" in index or index.startswith((".", "~")):
        raise InputError(
            f"there is no index folder {index}: give a folder with a Lucene index, or a `corpus` to build one"
        )
    return download_prebuilt(index, _metadata(index), _LUCENE)


def texts_index(name: str) -> str | None:
    """The prebuilt index with the texts of prebuilt index `name`; None when Pyserini lists no other."""
    texts = catalogue("TF_INDEX_INFO").get(name, {}).get("texts")
    return str(texts) if texts and texts != name else None


def catalogue(kind: str) -> Mapping[str, Any]:
    """Pyserini's prebuilt indexes of a kind, such as `FAISS_INDEX_INFO`, by name; empty if this version has none."""
    known = getattr(import_pyserini("pyserini.prebuilt_index_info"), kind, {})
    try:
        return dict(known)  # newer Pyserini reads its list of indexes from the network
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(f"Pyserini's list of prebuilt indexes cannot be read: {one_line(error)}") from error


def download_prebuilt(name: str, metadata: Mapping[str, Any], instead: str) -> Path:
    """The folder of a prebuilt index, downloaded by Pyserini if needed; InputError, with `instead`, if that fails."""
    util = import_pyserini("pyserini.util")
    locks = cache_root() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    said = io.StringIO()
    with locked(locks / f"prebuilt-{name}.lock"):
        try:
            if not util.check_downloaded(name):
                _check_reachable(metadata["urls"])
            with contextlib.redirect_stdout(said):
                return Path(util.download_prebuilt_index(name, verbose=False))
        except (OSError, HTTPException, ValueError, AssertionError, EOFError, tarfile.TarError) as error:
            raise InputError(
                f"prebuilt index {name!r} cannot be downloaded: {one_line(error)}; check the network, or {instead}"
            ) from error


def _checked(folder: Path) -> Path:
    if any(folder.glob("segments_*")):
        return folder
    if (folder / "docid").is_file():
        raise InputError(f"{folder} is a Faiss index, not a Lucene index: search it with `method` dense")
    inside = [child for child in sorted(folder.iterdir()) if child.is_dir() and any(child.glob("segments_*"))]
    nearest = f"did you mean {inside[0]}?" if inside else "give its documents as `corpus` to build one"
    raise InputError(f"{folder} is not a Lucene index (it has no segments file): {nearest}")


def _metadata(name: str) -> Mapping[str, Any]:
    inverted = catalogue("TF_INDEX_INFO")
    if name in inverted:
        found: Mapping[str, Any] = inverted[name]
        return found
    for kind, meaning in _OTHER_KINDS.items():
        if name in catalogue(kind):
            raise InputError(f"prebuilt index {name!r} is {meaning}: bm25 and bm25q need an inverted index")
    raise UnknownNameError("index", name, inverted, "or give a folder with a Lucene index, or a `corpus`")


def _check_reachable(urls: list[str]) -> None:
    """Raise the last server's error when none answers; Pyserini would show a progress bar first."""
    for position, url in enumerate(urls, 1):
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "reasonrank-pyserini"})
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except HTTPError:
            return  # it answers; the download finds out whether it has the file
        except OSError:
            if position == len(urls):
                raise
        else:
            return
