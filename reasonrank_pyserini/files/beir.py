"""BEIR folders: `corpus.jsonl[.gz]`, `queries.jsonl[.gz]`, `qrels/<split>.tsv`."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, UnknownNameError


def find_file(folder: Path, name: str) -> Path | None:
    """`name` or `name.gz` in the folder; None when neither is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def need_file(folder: Path, name: str) -> Path:
    """`name` or `name.gz` in the folder; InputError when neither is there."""
    if (path := find_file(folder, name)) is None:
        raise InputError(f"BEIR folder {folder} has no {name} or {name}.gz")
    return path


def find_qrels(folder: Path, split: str) -> Path:
    """The qrels file of a split; UnknownNameError with the splits that exist."""
    if (path := find_file(folder / "qrels", f"{split}.tsv")) is not None:
        return path
    splits = {file.name.split(".tsv")[0] for file in (folder / "qrels").glob("*.tsv*")}
    raise UnknownNameError(f"split of {folder}", split, splits)
