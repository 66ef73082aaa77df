"""The judgements that --dataset or --qrels name."""

from __future__ import annotations

from collections.abc import Mapping

import click

from ..errors import InputError
from ..files.qrels import read_qrels_report

Qrels = Mapping[str, Mapping[str, int]]


def read_judgements(dataset: str | None, path: str | None, kind: str) -> Qrels:
    """Of the file when one is given, else of the data set; InputError when there is neither."""
    if path is not None:
        if kind != "plain":
            raise InputError("--qrels-kind chooses among a collection's judgements: use it with --dataset")
        report = read_qrels_report(path)
        for note in report.notes:
            click.echo(f"note: {note}", err=True)
        return report.qrels
    if dataset is None:
        raise InputError("no judgements: give --dataset ID or --qrels FILE")
    from ..datasets import load_dataset

    return load_dataset(dataset).qrels(kind)
