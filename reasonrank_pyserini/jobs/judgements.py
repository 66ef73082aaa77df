"""Judgements of a qrels file, a mapping or a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files.qrels import read_qrels_report
from ..scoring import Qrels
from .saying import Say, silent

if TYPE_CHECKING:
    from ..datasets import Dataset

QrelsSource = str | Path | Qrels
"""A qrels file, or grades by query and document id."""


def read_judgements(
    dataset: str | Path | Dataset | None,
    qrels: QrelsSource | None,
    kind: str = "plain",
    *,
    say: Say = silent,
) -> Qrels:
    """The grades of `qrels`, else those of the data set, by query and document id.

    `kind` (`plain`, `fixed`) chooses among the judgements of a data set. `say` gets the notes on a qrels file, one line
    each. Raises InputError when neither is given, and for a `kind` with `qrels`.
    """
    if qrels is None:
        if dataset is None:
            raise InputError("no judgements: give `dataset` ID or `qrels` FILE")
        from ..datasets import load_dataset

        return load_dataset(dataset).qrels(kind) if isinstance(dataset, str | Path) else dataset.qrels(kind)
    if kind != "plain":
        raise InputError("`qrels_kind` chooses among the judgements of a data set: use it with `dataset`")
    if isinstance(qrels, Mapping):
        return qrels
    report = read_qrels_report(qrels)
    for note in report.notes:
        say(note)
    return report.qrels
