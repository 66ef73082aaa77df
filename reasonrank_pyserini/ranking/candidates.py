"""What may be given as candidates, turned into Candidate records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..datasets import Docstore
from ..errors import InputError
from ..files.document_records import document_of_raw, record_of
from ..types import TEXT_FIELDS, Candidate, Document, ScoredDocument, is_missing


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
    _check_collection(items)
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
    _check_collection(items)
    listed = list(items)
    return [_hit(item, len(listed) - at) for at, item in enumerate(listed)]


def _check_collection(items: Any) -> None:
    """InputError for what can be iterated over but is not a list of candidates: letters, keys, column names."""
    kind = type(items).__name__
    advice = {
        "str": "give a list of texts",
        "bytes": "give a list of texts",
        "DataFrame": "give its records: frame.to_dict('records')",
    }
    if isinstance(items, Mapping):
        raise InputError(
            f"candidates are a {kind}: give its items, as (docid, text) pairs: list(given.items())"
        )
    if kind in advice or isinstance(items, str | bytes):
        raise InputError(f"candidates are a {kind}: {advice.get(kind, advice['str'])}")


def _hit(item: Any, countdown: int) -> ScoredDocument:
    if isinstance(item, ScoredDocument):
        return item
    if isinstance(item, str):
        return ScoredDocument(item, float(countdown))
    if isinstance(item, Candidate):
        return ScoredDocument(item.id, item.score)
    if isinstance(item, tuple) and len(item) == 2:
        return ScoredDocument(str(item[0]), float(item[1]))
    if hasattr(item, "docid") and hasattr(item, "score"):
        return ScoredDocument(str(item.docid), float(item.score))
    raise InputError(
        f"a hit is a {type(item).__name__}: give ScoredDocuments, Pyserini hits, (docid, score) pairs or docids"
    )


def _one(item: Any, position: int) -> Candidate | _Textless:
    if isinstance(item, Candidate):
        return item if item.rank else Candidate(item.document, item.score, position)
    if isinstance(item, Document):
        return Candidate(item, rank=position)
    if isinstance(item, str):
        return Candidate(Document(str(position), item), rank=position)
    if isinstance(item, Mapping):
        return _from_mapping(item, position)
    if isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return Candidate(Document(item[0], item[1]), rank=position)
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
    id = next((item[name] for name in ("docid", "id", "_id") if not is_missing(item.get(name))), None)
    if id is None:
        has = ", ".join(map(str, item)) or "nothing"
        raise InputError(f"candidate {position} has no 'docid' or 'id': it has {has}")
    score, record = float(item.get("score") or 0.0), item.get("doc", item)
    record = record_of(record) if isinstance(record, str) else record
    fields = (*TEXT_FIELDS, "content")
    text = (
        next((record[name] for name in fields if not is_missing(record.get(name))), None) if record else None
    )
    if text is None:
        return _Textless(str(id), score, position)
    return Candidate(
        Document.from_record(str(id), {"text": text, "title": record.get("title")}), score, position
    )


def _from_hit(hit: Any, position: int) -> Candidate | _Textless:
    raw = _raw(hit)
    if raw is None:
        return _Textless(str(hit.docid), float(hit.score), position)
    return Candidate(document_of_raw(str(hit.docid), raw), float(hit.score), position)


def _raw(hit: Any) -> str | None:
    """The stored text of a Pyserini hit: `raw`, or the Lucene document's `raw` or `contents`; None for dense hits."""
    raw = getattr(hit, "raw", None)
    if raw is None:
        stored = getattr(hit, "lucene_document", None)
        raw = stored and (stored.get("raw") or stored.get("contents"))
    raw = raw() if callable(raw) else raw
    return None if raw is None else str(raw)
