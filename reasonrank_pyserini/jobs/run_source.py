"""A first stage's run as a user gives it: a file, or hits by query id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.runs import read_run_report
from ..files.trec import check_ids, order_by_score
from ..first_stages.base import Run, unique
from ..ranking.candidates import as_hits
from ..types import Query

RunSource = str | Path | Mapping[str, Iterable[Any]]
"""A run file (TREC or BRIGHT's score JSON), or hits by query id, best first (see `candidates.as_hits`)."""


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


def read_source(source: RunSource, *, by_score: bool = True) -> GivenRun:
    """The run, best score first, with the first of each docid kept; FileFormatError for a bad
    line, InputError for other objects.

    Ties keep the order in which they were given. Without `by_score` every hit does, as in the authors' code; a note
    says where the two orders differ.
    """
    given = _read(source)
    ordered, moved = order_by_score(given.run)
    if not moved:
        return given
    done = "taken best score first, as trec_eval does" if by_score else "their order of lines is kept"
    note = (
        f"{given.name}: {len(moved)} queries, e.g. {moved[0]}, are not in the order of their scores: {done}"
    )
    return replace(given, run=ordered if by_score else given.run, notes=(*given.notes, note))


def _read(source: RunSource) -> GivenRun:
    if isinstance(source, str | Path):
        report = read_run_report(source)
        repeated = {query: len(hits) for query, hits in report.repeated.items()}
        return GivenRun(str(source), report.run, report.notes, repeated)
    if not isinstance(source, Mapping):
        raise InputError(f"the run is a {type(source).__name__}: give a file, or hits by query id as a dict")
    listed = {str(query): as_hits(items) for query, items in source.items()}
    run = {query: unique(hits) for query, hits in listed.items()}
    for query, hits in run.items():
        check_ids(query, [hit.id for hit in hits])
    repeated = {query: len(listed[query]) - len(hits) for query, hits in run.items()}
    count = sum(repeated.values())
    notes = (f"{count} repeated docids dropped (first kept)",) if count else ()
    return GivenRun("the run", run, notes, repeated)


def topics_by_id(topics: Sequence[Query] | None, run: Run) -> dict[str, Query]:
    """The topics by id, an id of the run that differs by leading zeros alone included; without topics, ids alone."""
    if topics is None:
        return {id: Query(id, "") for id in run}
    known = {query.id: query for query in topics}
    numbered = {_number(id): query for id, query in known.items()}
    lacking = (id for id in run if id not in known and id.isdecimal() and _number(id) in numbered)
    return known | {id: Query(id, numbered[_number(id)].text) for id in lacking}


def _number(id: str) -> str:
    """The id without leading zeros, if it is a number."""
    return id.lstrip("0") or "0" if id.isdecimal() else id
