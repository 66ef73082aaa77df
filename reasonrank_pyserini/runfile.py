"""TREC run and qrels files: read strictly, written whole or not at all."""

from __future__ import annotations

from .files.atomic import atomic_open
from .files.qrels import QrelsReport, read_qrels, read_qrels_report
from .files.run_lines import numbered_lines
from .files.trec import (
    RunReport,
    check_ids,
    check_tag,
    read_run,
    read_run_report,
    write_run,
    write_scored_run,
)

__all__ = [
    "QrelsReport",
    "RunReport",
    "atomic_open",
    "check_ids",
    "check_tag",
    "numbered_lines",
    "read_qrels",
    "read_qrels_report",
    "read_run",
    "read_run_report",
    "write_run",
    "write_scored_run",
]
