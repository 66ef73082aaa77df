"""BEIR folders: `corpus.jsonl[.gz]`, `queries.jsonl[.gz]`, `qrels/<split>.tsv`."""

from __future__ import annotations

from pathlib import Path

from ..errors import FileFormatError, InputError, UnknownNameError
from .lines import check_file, read_lines


def find_file(folder: Path, name: str) -> Path | None:
    """`name` or `name.gz` in the folder, if there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def need_file(folder: Path, name: str) -> Path:
    """`name` or `name.gz` in the folder; InputError when neither is there."""
    if (path := find_file(folder, name)) is None:
        raise InputError(f"BEIR folder {folder} holds no {name} or {name}.gz")
    return path


def find_qrels(folder: Path, split: str) -> Path:
    """The qrels file of a split; UnknownNameError with the splits that exist."""
    if (path := find_file(folder / "qrels", f"{split}.tsv")) is not None:
        return path
    splits = {file.name.split(".tsv")[0] for file in (folder / "qrels").glob("*.tsv*")}
    raise UnknownNameError(f"split of {folder}", split, splits)


def read_beir_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Relevance by query id and docid, from `query<TAB>docid<TAB>relevance` under an optional header line."""
    qrels: dict[str, dict[str, int]] = {}
    check_file(path, "qrels file")
    for position, (line, text) in enumerate(read_lines(path)):
        parts = text.split("\t")
        if len(parts) != 3:
            problem = f"expected query<TAB>docid<TAB>relevance, found {len(parts)} columns"
            raise FileFormatError(path, line, problem)
        try:
            relevance = int(parts[2])
        except ValueError as error:
            if position == 0 and parts[2].strip().isalpha():
                continue
            raise FileFormatError(path, line, f"relevance {parts[2][:40]!r} is not an integer") from error
        qrels.setdefault(parts[0], {})[parts[1]] = relevance
    if not qrels:
        raise FileFormatError(path, None, "holds no judgements")
    return qrels
