"""Test collections of ir_datasets, under their own ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

from ..errors import InputError, UnknownNameError
from ..files.caches import cache_root, fingerprint
from ..files.locks import locked
from ..types import TEXT_FIELDS, Document, Query
from . import Dataset, passage_tokens
from .irds_errors import ir_datasets, reading

QUERY_TEXT_FIELDS = ("text", "query", "title")


def load(name: str) -> Dataset:
    """The collection with that ir_datasets id; UnknownNameError when there is none."""
    package = ir_datasets()
    try:
        with reading(name, "collection", pass_key_errors=True):
            handler = package.load(name)
    except KeyError as error:
        hint = "list them: reasonrank datasets"
        raise UnknownNameError("dataset", name, package.registry, hint) from error
    return IrDataset(name, handler)


class IrDataset:
    """A Dataset over an ir_datasets handler; ir_datasets fetches its files when first needed."""

    def __init__(self, name: str, handler: Any) -> None:
        self._name, self._handler = name, handler

    @property
    def id(self) -> str:
        return self._name

    @property
    def passage_tokens(self) -> int | None:
        return passage_tokens(self._name)

    @cached_property
    def documents(self) -> IrDocuments:
        self._need("docs", "documents")
        return IrDocuments(self._name, self._handler)

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        self._need("queries", "queries")
        if variant is not None and variant not in self.variants():
            raise UnknownNameError(f"query variant of {self._name}", variant, self.variants())
        with reading(self._name, "queries"):
            return [Query(str(q.query_id), query_text(q, variant)) for q in self._handler.queries_iter()]

    def variants(self) -> tuple[str, ...]:
        self._need("queries", "queries")
        fields: Mapping[str, Any] = self._handler.queries_cls().__annotations__
        return tuple(name for name, kind in fields.items() if name != "query_id" and kind in (str, "str"))

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        """Grades by query and docid; of several judgements of one document the highest counts."""
        if kind != "plain":
            raise UnknownNameError(f"qrels kind of {self._name}", kind, ["plain"])
        qrels: dict[str, dict[str, int]] = {}
        for query_id, doc_id, relevance in self._judgements:
            judged = qrels.setdefault(query_id, {})
            judged[doc_id] = max(relevance, judged.get(doc_id, relevance))
        return qrels

    def excluded(self, query_id: str) -> frozenset[str]:
        return frozenset()

    @cached_property
    def _judgements(self) -> list[tuple[str, str, int]]:
        self._need("qrels", "qrels")
        with reading(self._name, "qrels"):
            return [(str(j.query_id), str(j.doc_id), int(j.relevance)) for j in self._handler.qrels_iter()]

    def _need(self, part: str, noun: str) -> None:
        if not self._handler.has(part):
            children = [id for id in ir_datasets().registry if id.startswith(f"{self._name}/")]
            more = f": try one of {', '.join(children[:8])}" if children else ""
            raise InputError(f"dataset {self._name!r} has no {noun}{more}")


class IrDocuments:
    """The Docstore of an ir_datasets collection; ir_datasets builds its lookup files when first needed."""

    def __init__(self, name: str, handler: Any) -> None:
        self._name, self._handler = name, handler
        self._lock = Lock()

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id, in the order asked for."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        with self._lock, reading(self._name, "documents"):
            found = {record.doc_id: document_of(record) for record in self._store.get_many_iter(wanted)}
        return {id: found[id] for id in wanted if id in found}

    def __iter__(self) -> Iterator[Document]:
        with reading(self._name, "documents"):
            records = iter(self._handler.docs_iter())
        while True:
            with reading(self._name, "documents"):
                record = next(records, None)
                document = None if record is None else document_of(record)
            if document is None:
                return
            yield document

    @cached_property
    def _store(self) -> Any:
        """The lookup files, built under a lock between processes."""
        store = self._handler.docs_store()
        if hasattr(store, "built") and hasattr(store, "build") and not store.built():
            locks = cache_root() / "locks"
            locks.mkdir(parents=True, exist_ok=True)
            with locked(locks / f"{fingerprint({'docstore': str(store.path)})[:32]}.lock"):
                store = self._handler.docs_store()
                store.build()
        return store


def document_of(record: Any) -> Document:
    """The Document of an ir_datasets record: its text field and title, else its default text."""
    fields = {name: value for name, value in record._asdict().items() if isinstance(value, str)}
    if not any(name in fields for name in TEXT_FIELDS):
        return Document(str(record.doc_id), _default_text(record, fields))
    return Document.from_record(record.doc_id, fields)


def query_text(record: Any, variant: str | None = None) -> str:
    """The text of a query record: the field `variant`, or its default text."""
    if variant is not None:
        return str(getattr(record, variant) or "")
    fields = {name: value for name, value in record._asdict().items() if isinstance(value, str)}
    main = next((fields[name] for name in QUERY_TEXT_FIELDS if name in fields), None)
    return _default_text(record, fields) if main is None or hasattr(record, "default_text") else main


def _default_text(record: Any, fields: Mapping[str, str]) -> str:
    if hasattr(record, "default_text"):
        return str(record.default_text())
    return "\n".join(value for name, value in fields.items() if name not in ("doc_id", "query_id"))
