"""Candidates of a source: passages of its pages, and hits of a first stage, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...datasets import Docstore
from ...errors import InputError
from ...first_stages.base import FirstStage
from ...types import Document, Query
from .pages import PASSAGE_WORDS, page_passages
from .sources import Page, Source

POOL = 40
"""Most candidates in the teacher's first call: the paper's depth for coding and mathematics."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Pool:
    """A source and its candidates: passages of linked pages, then of negatives, then hits of the first stage."""

    source: Source
    documents: tuple[Document, ...]


def make_pools(
    sources: Iterable[Source],
    *,
    stage: FirstStage | None = None,
    documents: Docstore | None = None,
    size: int = POOL,
    words: int = PASSAGE_WORDS,
    report_empty: Callable[[Page], object] = lambda page: None,
) -> Iterator[Pool]:
    """One pool a source, in order.

    Passages of linked pages fill at most half of a pool, more when other candidates are missing. Pages without a
    passage go to `report_empty`. InputError for a hit without a text.
    """
    if size < 2:
        raise InputError(f"`pool` is {size}: give at least 2")

    def passages(pages: Iterable[Page]) -> list[Document]:
        found: list[Document] = []
        for page in pages:
            of_page = page_passages(page, words)
            found += of_page
            if not of_page:
                report_empty(page)
        return found

    batch: list[Source] = []
    for source in sources:
        batch.append(source)
        if len(batch) == _BATCH:
            yield from _pools(batch, stage, documents, size, passages)
            batch = []
    yield from _pools(batch, stage, documents, size, passages)


def _pools(
    sources: Sequence[Source],
    stage: FirstStage | None,
    documents: Docstore | None,
    size: int,
    passages: Callable[[Iterable[Page]], list[Document]],
) -> Iterator[Pool]:
    hits = _hits(sources, stage, documents, size)
    for source, found in zip(sources, hits, strict=True):
        linked, wrong = passages(source.pages), passages(source.negatives)
        yield Pool(source, _together(linked, [*wrong, *found], size))


def _together(linked: Sequence[Document], others: Sequence[Document], size: int) -> tuple[Document, ...]:
    """Linked documents, then others, each docid and each text once: a copy of a relevant passage is not a negative."""
    room = max(size // 2, size - len(others))
    chosen: dict[str, Document] = {}
    texts: set[str] = set()
    for document in (*linked[:room], *others):
        text = " ".join(document.text.split())
        if len(chosen) < size and document.id not in chosen and text and text not in texts:
            chosen[document.id] = document
            texts.add(text)
    return tuple(chosen.values())


def _hits(
    sources: Sequence[Source],
    stage: FirstStage | None,
    documents: Docstore | None,
    size: int,
) -> list[list[Document]]:
    if stage is None or documents is None or not sources:
        return [[] for _ in sources]
    queries = [Query(source.id, source.text) for source in sources]
    found = [[hit.id for hit in hits] for hits in stage.candidates(queries, size)]
    texts = documents.get_many({id for ids in found for id in ids})
    for ids in found:
        for id in ids:
            if id not in texts:
                raise InputError(f"the first stage found {id!r}, but the collection has no text for it")
    return [[texts[id] for id in ids] for ids in found]
