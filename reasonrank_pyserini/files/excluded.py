"""Documents that must not be retrieved for a query: lines `query docid`."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FileFormatError
from .lines import check_file, read_lines

_SPACES = re.compile(r"[ \t]+")


def read_excluded(path: str | Path) -> dict[str, frozenset[str]]:
    """The excluded docids by query id; a docid is the rest of its line, so it may contain spaces."""
    check_file(path, "file of excluded documents")
    excluded: dict[str, set[str]] = {}
    for line, text in read_lines(path):
        parts = _SPACES.split(text.strip(" \t"), maxsplit=1)
        if len(parts) != 2:
            raise FileFormatError(path, line, f"expected 'query docid', found {text[:60]!r}")
        excluded.setdefault(parts[0], set()).add(parts[1])
    return {query: frozenset(ids) for query, ids in excluded.items()}
