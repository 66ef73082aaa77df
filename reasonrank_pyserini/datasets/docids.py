"""Document ids in two spellings: the hub's, which may hold blanks, and castorini's, with `_` for each blank."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..errors import InputError


def to_castorini(id: str) -> str:
    """The id as castorini's indexes, runs and qrels spell it."""
    return id.replace(" ", "_")


def from_castorini(ids: Iterable[str], corpus_ids: Iterable[str]) -> dict[str, str]:
    """The corpus' id of every castorini id that the corpus itself lacks; unknown ids are left out.

    InputError for an id that stands for more than one of the corpus.
    """
    wanted = set(ids)
    present: set[str] = set()
    candidates: dict[str, set[str]] = {}
    for id in corpus_ids:
        if id in wanted:
            present.add(id)
        elif (spelled := to_castorini(id)) in wanted:
            candidates.setdefault(spelled, set()).add(id)
    found = {}
    for spelled in sorted(candidates.keys() - present):
        first, *others = sorted(candidates[spelled])
        if others:
            raise InputError(
                f"the document id {spelled!r} stands for {first!r} and for {others[0]!r}: use the corpus' own ids"
            )
        found[spelled] = first
    return found


DOCID_STYLES: Mapping[str, Callable[[str], str]] = {"hub": str, "castorini": to_castorini}
"""How docids are written: as the collection has them, or with `_` for spaces as castorini's indexes do."""
