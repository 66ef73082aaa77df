"""Run files of either format: TREC, or BRIGHT's score JSON."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path

from ..types import ScoredDocument
from .lines import check_file, numbered_lines
from .score_json import is_score_json, read_score_json
from .trec import RunReport, read_trec


def read_run(path: str | Path) -> dict[str, list[ScoredDocument]]:
    """The documents of every query, in the file's order with their scores; queries in order of appearance.

    A TREC run, or BRIGHT's score JSON `{query id: {document id: score}}`, recognised by its start. Document ids may
    contain spaces; of a document listed twice for a query the first counts. Plain or gzip, LF or CRLF, `-` for
    standard input. Raises FileFormatError with the line that cannot be read, where one line is at fault.
    """
    return read_run_report(path).run


def read_run_report(path: str | Path) -> RunReport:
    """`read_run` with the count of lines and of repeated documents."""
    if Path(path).is_dir():
        check_file(path, "run file")
    lines = numbered_lines(path, json_too=True)
    first = list(islice(lines, 1))
    read = read_score_json if first and is_score_json(first[0][1]) else read_trec
    return read(path, chain(first, lines))
