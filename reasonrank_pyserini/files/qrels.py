"""Relevance judgements: TREC qrels (`query iteration document grade`) and BEIR's TSV with its header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileFormatError
from .kinds import resemblance
from .lines import numbered_lines, printable

_COLUMNS = "query iteration document grade"
_BEIR = "or 3 with tabs below BEIR's header query-id, corpus-id, score"
_BEIR_HEADER = (b"query-id", b"corpus-id", b"score")
_GRADE = re.compile(rb"[+-]?\d{1,18}")


@dataclass(frozen=True, slots=True)
class QrelsReport:
    """Judgements as read: grade per query and document; `duplicates` lines repeated a judgement."""

    path: str
    qrels: dict[str, dict[str, int]]
    lines: int
    duplicates: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each thing the user should know; empty for ordinary qrels."""
        if not self.duplicates:
            return ()
        return (f"{self.path}: {self.duplicates} repeated judgement{'s' if self.duplicates > 1 else ''}",)


def read_qrels(path: str | Path, *, beir: bool = False) -> dict[str, dict[str, int]]:
    """The grade of every judged document, by query and document id, in order of appearance.

    Columns are separated by spaces or tabs, document ids may contain spaces; BEIR's `query-id corpus-id score`
    files are recognised by that header, with `beir` also without one. A judgement may be repeated; two
    different grades for one document are a FileFormatError (trec_eval refuses such files too). Plain or gzip,
    LF or CRLF.
    """
    return read_qrels_report(path, beir=beir).qrels


def read_qrels_report(path: str | Path, *, beir: bool = False) -> QrelsReport:
    """`read_qrels` with the count of lines and of repeated judgements."""
    qrels: dict[str, dict[str, int]] = {}
    lines = duplicates = 0
    for place, (number, line) in enumerate(numbered_lines(path)):
        if place == 0 and (tuple(line.lower().split()) == _BEIR_HEADER or (beir and _is_header(line))):
            beir = True
            continue
        try:
            query, document, grade = (_beir if beir else _trec)(line, path, number)
        except FileFormatError as error:
            hint = "" if lines else resemblance(line, "qrels")
            raise FileFormatError(path, number, error.problem + hint) from error
        grades = qrels.setdefault(query, {})
        known = grades.setdefault(document, grade)
        if known != grade:
            raise FileFormatError(
                path,
                number,
                f"grade {grade} for query {printable(query)}, document {printable(document)} "
                f"after {known} on an earlier line",
            )
        lines += 1
    if not lines:
        raise FileFormatError(path, None, f"the file holds no judgements; qrels have lines of {_COLUMNS!r}")
    duplicates = lines - sum(map(len, qrels.values()))
    return QrelsReport(str(path), qrels, lines, duplicates)


def _trec(line: bytes, path: str | Path, number: int) -> tuple[str, str, int]:
    fields = line.split()
    columns = len(fields)
    if fields[0] == b"#" and fields[1:2] != [b"0"]:
        raise FileFormatError(path, number, "a comment, which no qrels have: delete such lines")
    if columns < 4:
        raise FileFormatError(path, number, f"{columns} columns where qrels have 4 ({_COLUMNS}; {_BEIR})")
    query, _, rest = line.split(None, 2)
    document, grade = rest.rsplit(None, 1)
    return query.decode(), document.decode(), _grade(grade, path, number)


def _beir(line: bytes, path: str | Path, number: int) -> tuple[str, str, int]:
    fields = [field.strip() for field in line.split(b"\t")]
    if len(fields) != 3 or not all(fields):
        raise FileFormatError(path, number, "not the three tab-separated columns query-id, corpus-id, score")
    query, document, grade = fields
    return query.decode(), document.decode(), _grade(grade, path, number)


def _is_header(line: bytes) -> bool:
    """Whether a BEIR line names its three columns, in whatever words, instead of grading a document."""
    fields = line.split(b"\t")
    return len(fields) == 3 and fields[2].strip().isalpha()


def _grade(field: bytes, path: str | Path, number: int) -> int:
    if not _GRADE.fullmatch(field):
        shown = field[:60].decode(errors="replace")
        raise FileFormatError(path, number, f"the grade {shown!r} is not a whole number ({_COLUMNS})")
    return int(field)
