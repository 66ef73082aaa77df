"""The tables of the collections' files, and readers of those files: parquet rows, JSON lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError, one_line
from ..files.lines import parse_object, read_lines
from ..files.toml_tables import read_toml
from ..lazy import require


def table(family: str) -> dict[str, Any]:
    """The table of that family: repositories, revisions, sizes, checksums.

    `$REASONRANK_COLLECTIONS` names a folder whose `<family>.toml` replaces ours: for a mirror that serves
    other revisions or re-encoded files.
    """
    ours = Path(__file__).with_name(f"{family}.toml")
    chosen = os.environ.get("REASONRANK_COLLECTIONS")
    if not chosen:
        return _read(ours)
    folder = Path(os.path.expanduser(chosen))
    if not folder.is_dir():
        raise InputError(
            f"REASONRANK_COLLECTIONS: there is no folder {folder}; it should hold bright.toml or r2med.toml"
        )
    own = folder / ours.name
    return _read(own if own.is_file() else ours)


@cache
def _read(path: Path) -> dict[str, Any]:
    return dict(read_toml(path, "collection table").values)


def parquet_rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file with only those fields, read in small batches."""
    parquet = require("pyarrow.parquet", "reading BRIGHT's files")
    try:
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            known = file.schema_arrow.names
            if missing := [field for field in fields if field not in known]:
                raise FileFormatError(path, None, f"has no field {missing[0]!r}, only {', '.join(known)}")
            for batch in file.iter_batches(batch_size=64, columns=list(fields), use_threads=False):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({one_line(error, 160)}): delete it and try again"
        ) from error


def json_lines(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; FileFormatError for one that lacks one of the fields."""
    for number, text in read_lines(path):
        record = parse_object(path, number, text)
        if missing := [field for field in fields if field not in record]:
            raise FileFormatError(path, number, f"has no field {missing[0]!r}")
        yield record
