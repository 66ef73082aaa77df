"""What may be given as candidates, turned into Candidate records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import IOBase
from math import isfinite
from typing import Any

from ..datasets import Docstore
from ..errors import InputError
from ..files.document_records import document_of_raw, record_of
from ..files.given_records import as_document, as_given_id, as_given_score
from ..types import TEXT_FIELDS, Candidate, Document, ScoredDocument, is_missing

DOCIDS = ("docid", "id", "_id", "pid", "doc_id", "docno")
"""Names of a record's id, first found wins."""


@dataclass(frozen=True, slots=True)
class _Textless:
    """A hit of a first stage that stores no text."""

    id: str
    score: float
    rank: int


def as_candidates(items: Iterable[Any], documents: Docstore | None = None) -> tuple[Candidate, ...]:
    """Candidates in the given order, the first of each docid kept.

    Accepts Candidates, Documents, Pyserini hits, RankLLM candidates (objects or {"docid", "score", "doc"}), records
    ({"id" or "docid", "text"/"contents"/...}), (docid, text) pairs and plain texts (docid is then the
    position from 1). `documents` gives the text of hits that carry none. InputError for anything else.
    """
    _check_collection(items, "candidates")
    found: dict[str, Candidate | _Textless] = {}
    for position, item in enumerate(items, 1):
        candidate = _one(item, position)
        found.setdefault(candidate.id, candidate)
    lacking = [c.id for c in found.values() if isinstance(c, _Textless)]
    texts = documents.get_many(lacking) if lacking and documents is not None else {}
    missing = [id for id in lacking if id not in texts]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(found)} candidates have no text, e.g. {missing[0]!r}: "
            "give documents= (a docstore such as load_dataset(...).documents)"
        )
    return tuple(
        Candidate(texts[c.id], c.score, c.rank) if isinstance(c, _Textless) else c for c in found.values()
    )


def as_hits(items: Iterable[Any]) -> list[ScoredDocument]:
    """Docids with scores in the given order, repeats included; texts are not looked at.

    Accepts ScoredDocuments, Candidates, Pyserini hits and other objects with `docid` and `score`, (docid, score)
    pairs, and plain docids, whose scores count down to 1. InputError for anything else.
    """
    _check_collection(items, "hits")
    listed = list(items)
    return [_hit(item, len(listed) - at) for at, item in enumerate(listed)]


def _check_collection(items: Any, what: str) -> None:
    """InputError for anything but an ordered list: a text, a dict, a DataFrame, a file, a set."""
    kind = type(items).__name__
    if isinstance(items, str | bytes | bytearray | IOBase):
        advice = "give a list of texts"
    elif kind == "DataFrame":
        advice = "give its records: frame.to_dict('records')"
    elif isinstance(items, Mapping):
        advice = "give its items, as (docid, text) pairs: list(given.items())"
    elif isinstance(items, set | frozenset):
        advice = "it has no order: give a list, best first"
    elif not isinstance(items, Iterable):
        advice = "give a list, best first"
    else:
        return
    raise InputError(f"{what} are a {kind}: {advice}")


def _hit(item: Any, countdown: int) -> ScoredDocument:
    if isinstance(item, str):
        return ScoredDocument(str(item), float(countdown))
    if isinstance(item, ScoredDocument | Candidate):
        id, score = item.id, item.score
    elif isinstance(item, tuple) and len(item) == 2:
        id, score = item
    elif hasattr(item, "docid") and hasattr(item, "score"):
        id, score = item.docid, item.score
    else:
        raise InputError(
            f"a hit is a {type(item).__name__}: give ScoredDocuments, Pyserini hits, (docid, score) pairs or docids"
        )
    if type(id) is str and type(score) is float and isfinite(score):
        return item if isinstance(item, ScoredDocument) else ScoredDocument(id, score)
    if score is None:
        raise InputError(f"hit {id!r} has no score")
    return ScoredDocument(as_given_id(id, "a hit"), as_given_score(score, f"hit {id!r}"))


def _one(item: Any, position: int) -> Candidate | _Textless:
    what = f"candidate {position}"
    if isinstance(item, Candidate):
        document = as_document(item.document, what)
        if item.rank and document is item.document:
            return item
        return Candidate(document, item.score, item.rank or position)
    if isinstance(item, Document):
        return Candidate(as_document(item, what), rank=position)
    if isinstance(item, str):
        return Candidate(Document(str(position), str(item)), rank=position)
    if isinstance(item, Mapping):
        return _from_mapping(item, position)
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], str):
        return Candidate(Document(as_given_id(item[0], what), str(item[1])), rank=position)
    if hasattr(item, "docid") and isinstance(
        getattr(item, "doc", None), Mapping | str
    ):  # RankLLM's Candidate
        return _from_mapping({"docid": item.docid, "score": item.score, "doc": item.doc}, position)
    if hasattr(item, "docid") and hasattr(item, "score"):
        return _from_hit(item, position)
    raise InputError(
        f"candidate {position} is a {type(item).__name__}: give Candidates, Documents, Pyserini hits, "
        "RankLLM candidates, {'id', 'text'} records, (docid, text) pairs or texts"
    )


def _from_mapping(item: Mapping[str, Any], position: int) -> Candidate | _Textless:
    what = f"candidate {position}"
    given = next((item[name] for name in DOCIDS if not is_missing(item.get(name))), None)
    if given is None:
        has = ", ".join(map(str, item)) or "nothing"
        raise InputError(f"{what} has no 'docid' or 'id': it has {has}")
    id, score = as_given_id(given, what), as_given_score(item.get("score"), what)
    record = item.get("doc", item)
    record = record_of(record) if isinstance(record, str) else record
    if not isinstance(record, Mapping | None):
        raise InputError(f"{what} has a {type(record).__name__} as its 'doc': give a record or a text")
    fields = (*TEXT_FIELDS, "content")
    text = (
        next((record[name] for name in fields if not is_missing(record.get(name))), None) if record else None
    )
    if record is None or text is None:
        return _Textless(id, score, position)
    return Candidate(as_document(Document(id, text, record.get("title") or ""), what), score, position)


def _from_hit(hit: Any, position: int) -> Candidate | _Textless:
    raw, what = _raw(hit), f"candidate {position}"
    id, score = as_given_id(hit.docid, what), as_given_score(hit.score, what)
    return (
        _Textless(id, score, position)
        if raw is None
        else Candidate(document_of_raw(id, raw), score, position)
    )


def _raw(hit: Any) -> str | None:
    """The stored text of a Pyserini hit: `raw`, or the Lucene document's `raw` or `contents`; None for dense hits."""
    raw = getattr(hit, "raw", None)
    if raw is None:
        stored = getattr(hit, "lucene_document", None)
        raw = stored and (stored.get("raw") or stored.get("contents"))
    raw = raw() if callable(raw) else raw
    return None if raw is None else str(raw)
