"""Document ids in two spellings: the hub's, which may contain spaces, and castorini's, with `_` for each space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..errors import InputError


def to_castorini(id: str) -> str:
    """The id as castorini's indexes, runs and qrels spell it."""
    return id.replace(" ", "_")


def from_castorini(ids: Iterable[str], corpus_ids: Iterable[str]) -> dict[str, str]:
    """The corpus id for each castorini id that is not a corpus id itself; unknown ids are left out.

    InputError for an id that matches several corpus ids.
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
                f"the document id {spelled!r} matches both {first!r} and {others[0]!r}: use the corpus' own ids"
            )
        found[spelled] = first
    return found


DOCID_STYLES: Mapping[str, Callable[[str], str]] = {"hub": str, "castorini": to_castorini}
"""How to write docids: as in the collection, or with `_` for spaces as in castorini's indexes."""
