"""A first stage's run as a user gives it: a file, or hits by query id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.trec import check_ids, read_run_report
from ..first_stages.base import Run, unique
from ..ranking.candidates import as_hits

RunSource = str | Path | Mapping[str, Iterable[Any]]
"""A TREC run file, or hits by query id, best first (see `candidates.as_hits`)."""


@dataclass(frozen=True, slots=True)
class GivenRun:
    """A run as read; `repeated` counts dropped repeats of a docid by query, `notes` are for the user."""

    name: str
    run: Run
    notes: tuple[str, ...]
    repeated: Mapping[str, int]

    @property
    def content(self) -> dict[str, Any]:
        """Ids and scores as JSON values, in order."""
        return {"run": [[query, [[hit.id, hit.score] for hit in hits]] for query, hits in self.run.items()]}


def read_source(source: RunSource) -> GivenRun:
    """The run with the first of each docid kept; FileFormatError for a bad line, InputError for other objects."""
    if isinstance(source, str | Path):
        report = read_run_report(source)
        repeated = {query: len(hits) for query, hits in report.repeated.items()}
        return GivenRun(str(source), report.run, report.notes, repeated)
    listed = {str(query): as_hits(items) for query, items in source.items()}
    run = {query: unique(hits) for query, hits in listed.items()}
    for query, hits in run.items():
        check_ids(query, [hit.id for hit in hits])
    repeated = {query: len(listed[query]) - len(hits) for query, hits in run.items()}
    count = sum(repeated.values())
    notes = (f"{count} repeated docids dropped (first kept)",) if count else ()
    return GivenRun("the run", run, notes, repeated)
