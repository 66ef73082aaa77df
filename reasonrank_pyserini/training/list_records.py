"""Training lists in the layout of ReasonRank's authors: docids as shown, the teacher's order and its reasoning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from ..files.atomic import atomic_open
from ..files.lines import json_type, read_objects
from ..lazy import require

PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Record:
    """One list: docids in the order shown, in the teacher's order, the teacher's reasoning, the relevant docids."""

    dataset: str
    qid: str
    initial_list: tuple[str, ...]
    final_list: tuple[str, ...]
    reasoning: str
    relevant_docids: tuple[str, ...]

    @property
    def label(self) -> str:
        """The teacher's order as an answer, `[2] > [1] > ...`, each passage once; InputError for a docid that was
        not shown."""
        places: dict[str, int] = {}
        for place, docid in enumerate(self.initial_list, 1):
            places.setdefault(docid, place)
        strange = [docid for docid in self.final_list if docid not in places]
        if strange:
            raise InputError(
                f"record {self.qid!r}: final_list holds {strange[0]!r}, which is not in its initial_list"
            )
        return " > ".join(f"[{places[docid]}]" for docid in dict.fromkeys(self.final_list))


def read_records(path: str | Path) -> Iterator[Record]:
    """The records of a file, in order: JSONL or one JSON array (plain or .gz), or Parquet.

    Two layouts: the fields of `Record` (`liuwenhan/reasonrank_data_13k`), and reinforcement learning rows
    as verl keeps them (`data_source`, `extra_info` with the three lists; `qid` or `index` there names the
    query, and there is no reasoning). Fine-tuning rows (`instruction`, `output`) have no docids:
    `rendering.read_examples` reads those. FileFormatError for anything else.
    """
    for line, row in read_rows(path):
        yield record_of_row(path, line, row)


def record_of_row(path: str | Path, line: int, row: Mapping[str, Any]) -> Record:
    """The record of one row of either layout."""
    if "extra_info" in row:
        row = _flattened(path, line, row)
    elif "instruction" in row and "output" in row:
        raise FileFormatError(path, line, "a fine-tuning row has no docids: read it with read_examples")
    return Record(
        dataset=str(row.get("dataset") or ""),
        qid=_id(path, line, "qid", row.get("qid")),
        initial_list=_ids(path, line, "initial_list", row),
        final_list=_ids(path, line, "final_list", row),
        reasoning=str(row.get("reasoning") or ""),
        relevant_docids=_ids(path, line, "relevant_docids", row),
    )


def write_records(path: str | Path, records: Iterable[Record]) -> int:
    """Write JSONL in the published layout, whole or not at all; the number of records."""
    return write_rows(path, map(asdict, records))


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line, whole or not at all; the number of lines."""
    count = 0
    with atomic_open(path) as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
            count += 1
    return count


def read_rows(path: str | Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line or row number, object) of JSONL, of a JSON array, or of a Parquet file."""
    if not _is_parquet(path):
        yield from read_objects(path)
        return
    try:
        batches = require("pyarrow.parquet", f"reading {path}").ParquetFile(path).iter_batches(256)
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
    except (OSError, ValueError) as error:
        raise FileFormatError(path, None, f"not usable Parquet: {' '.join(str(error).split())}") from error


def _is_parquet(path: str | Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == PARQUET
    except OSError:
        return False  # read_objects says what is wrong


def _flattened(path: str | Path, line: int, row: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = row["extra_info"]
    if not isinstance(extra, Mapping):
        raise FileFormatError(path, line, f"'extra_info' holds {json_type(extra)}, not an object")
    qid = next((extra[name] for name in ("qid", "index") if extra.get(name) is not None), None)
    return {**extra, "qid": qid, "dataset": extra.get("dataset") or row.get("data_source"), "reasoning": ""}


def _id(path: str | Path, line: int, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FileFormatError(path, line, f"field {name!r} holds {json_type(value)}, not an id")
    return str(value)


def _ids(path: str | Path, line: int, name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    values = row.get(name)
    if not isinstance(values, list | tuple):
        has = json_type(values) if name in row else "nothing"
        raise FileFormatError(path, line, f"field {name!r} holds {has}, not a list of docids")
    return tuple(_id(path, line, name, value) for value in values)
