"""Run and qrels files: read strictly, written whole or not at all."""

from __future__ import annotations

from .files.qrels import read_qrels
from .files.runs import read_run
from .files.trec import write_run, write_scored_run

__all__ = ["read_qrels", "read_run", "write_run", "write_scored_run"]
