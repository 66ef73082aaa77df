"""One self-contained HTML page that shows what a reranking did, query by query."""

from __future__ import annotations

from .page import write_report
from .report_inputs import Result, find_folders, read_result
from .report_request import ReportRequest, ReportResult, build
from .report_sources import Sources

__all__ = [
    "ReportRequest",
    "ReportResult",
    "Result",
    "Sources",
    "build",
    "find_folders",
    "read_result",
    "write_report",
]
