"""The FirstStage seam, from queries to candidates in batches; and the stages that need no search engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import InputError
from ..types import Query, ScoredDocument

METHODS = {
    "bm25": "reasonrank_pyserini.first_stages.lucene:open_lucene",
    "bm25q": "reasonrank_pyserini.first_stages.lucene:open_lucene",
    "dense": "reasonrank_pyserini.first_stages.faiss:open_dense",
}
"""Functions that open the first stages that search, by method: each takes `index` or `corpus`, and settings."""

SERVERS = {"pyserini": "reasonrank_pyserini.first_stages.pyserini_rest:PyseriniRest"}
"""First stages that a server has, by its kind: each takes the address of an index."""

Run = Mapping[str, Sequence[ScoredDocument]]
"""Candidates by query id, best first."""

Excluded = Callable[[str], Collection[str]]
"""Maps a query id to the docids that must not be retrieved for it, as `Dataset.excluded` does."""


class FirstStage(Protocol):
    """Retrieves for many queries at once.

    `candidates` returns one list per query, in the order of `queries`, each best first and at most `k`
    long; an empty query or no hits gives an empty list, never an error. Texts come from a docstore.
    """

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]: ...


@dataclass(frozen=True, slots=True)
class RunFirstStage:
    """A run as a first stage: in line order with its scores, the first of repeated docids; also the fake for tests.

    The run is looked up by query id, query texts are not read; a query that is not in it gets an empty list.
    """

    run: Run
    excluded: Excluded | None = None

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        check_k(k)
        return [self._one(query.id)[:k] for query in queries]

    def _one(self, query_id: str) -> list[ScoredDocument]:
        unwanted = self.excluded(query_id) if self.excluded else ()
        return [hit for hit in unique(self.run.get(query_id, ())) if hit.id not in unwanted]


@dataclass(frozen=True, slots=True)
class ExcludingStage:
    """A first stage without excluded documents, which still gives `k` candidates where `k` exist.

    At least `k + |excluded(query)|` candidates are fetched; queries are searched in a few batches,
    grouped by how many documents they exclude.
    """

    stage: FirstStage
    excluded: Excluded

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        check_k(k)
        unwanted = [frozenset(self.excluded(query.id)) for query in queries]
        batches: dict[int, list[int]] = {}
        for position, ids in enumerate(unwanted):
            batches.setdefault(_at_least(len(ids)), []).append(position)
        found: dict[int, list[ScoredDocument]] = {}
        for extra, positions in batches.items():
            hits = self.stage.candidates([queries[position] for position in positions], k + extra)
            found.update(zip(positions, hits, strict=True))
        return [
            [hit for hit in found[position] if hit.id not in ids][:k] for position, ids in enumerate(unwanted)
        ]


def without(stage: FirstStage, excluded: Excluded | Mapping[str, Collection[str]] | None) -> FirstStage:
    """`stage` without each query's excluded documents; `stage` itself when nothing is excluded."""
    if excluded is None or (isinstance(excluded, Mapping) and not any(excluded.values())):
        return stage
    return ExcludingStage(stage, lookup(excluded) if isinstance(excluded, Mapping) else excluded)


def lookup(excluded: Mapping[str, Collection[str]]) -> Excluded:
    """A mapping as a function of the query id; other queries exclude nothing."""
    return lambda query_id: excluded.get(query_id, frozenset())


def unique(hits: Iterable[ScoredDocument]) -> list[ScoredDocument]:
    """The hits with the first of each docid kept."""
    first: dict[str, ScoredDocument] = {}
    for hit in hits:
        first.setdefault(hit.id, hit)
    return list(first.values())


def check_k(k: int) -> None:
    """Raises InputError unless `k` is a positive number of candidates."""
    if k < 1:
        raise InputError(f"k is {k}: give at least 1 candidate per query")


def _at_least(count: int) -> int:
    """`count` rounded up to 0 or a power of two, so that there are few batches."""
    return 1 << (count - 1).bit_length() if count else 0
