"""One self-contained HTML page that shows what a reranking did, query by query."""

from __future__ import annotations

from .page import write_report
from .report_inputs import QueryResult, Result, Sources, find_folders, read_result

__all__ = ["QueryResult", "Result", "Sources", "find_folders", "read_result", "write_report"]
