"""Cache folders: named by their content, built once under a lock, complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..types import Document
from .atomic import sync_file
from .locks import locked


def cache_root() -> Path:
    """Root of all caches: `$REASONRANK_CACHE`, else `$XDG_CACHE_HOME/reasonrank-pyserini`, else under `~/.cache`."""
    if chosen := os.environ.get("REASONRANK_CACHE"):
        return Path(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # unset, or relative, which its specification says to ignore
        base = os.path.expanduser("~/.cache")
    return Path(base) / "reasonrank-pyserini"


def fingerprint(content: Mapping[str, Any]) -> str:
    """sha256 of a JSON value, hex: equal for equal content, whatever the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def documents_sha256(documents: Iterable[Document]) -> str:
    """The documents' own `sha256` if they have one, else the sha256 of all ids, titles and texts, hex."""
    known = getattr(documents, "sha256", None)
    if isinstance(known, str):
        return known
    if isinstance(documents, Iterator):
        raise TypeError("documents that can be read only once need an explicit identity")
    digest = hashlib.sha256()
    for document in documents:
        digest.update(json.dumps([document.id, document.title, document.text]).encode() + b"\n")
    return digest.hexdigest()


def cached_folder(kind: str, content: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder for `content`, made by `build(empty folder)` if it does not exist yet.

    Only one process builds; the others wait and reuse. A build that fails or is killed leaves no folder.
    `content.json` in the folder says what it was made from.
    """
    if not re.fullmatch(r"[a-z0-9-]+", kind):
        raise ValueError(f"not a cache kind: {kind!r}")
    parent = cache_root() / kind
    parent.mkdir(parents=True, exist_ok=True)
    final = parent / fingerprint(content)[:32]
    if final.is_dir():
        return final
    with locked(Path(f"{final}.lock")) as alone:
        if final.is_dir():
            return final
        for left in parent.glob(f"{final.name}.part-*") if alone else ():
            shutil.rmtree(left, ignore_errors=True)  # left by a build that was killed
        partial = parent / f"{final.name}.part-{secrets.token_hex(6)}"
        partial.mkdir()  # by the umask, so that a group can share the cache
        try:
            build(partial)
            with open(partial / "content.json", "w", encoding="utf-8") as stream:
                json.dump(content, stream, indent=1, sort_keys=True)
                stream.flush()
                sync_file(stream.fileno())  # a disk that is full late says so here
            os.replace(partial, final)
        except OSError:
            if not final.is_dir():  # else built by another process meanwhile, on a file system without locks
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return final
