"""What is known of ir_datasets' test collections without reading or downloading them."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnknownNameError
from . import load_dataset, passage_tokens
from .irds_errors import ir_datasets

PARTS = ("docs", "queries", "qrels")
EXCLUDED_RELEVANCE = "-100"
"""The grade under which BRIGHT lists documents that are no judgements but must not be shown."""
LICENCES = {"bright": "CC BY 4.0"}
"""Licences that ir_datasets does not tell, by family."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection with documents and queries; unknown counts are None, `judged` says that qrels exist."""

    id: str
    documents: int | None
    queries: int | None
    judgements: int | None
    judged: bool
    passage_tokens: int | None

    @property
    def bright(self) -> bool:
        return self.id.startswith("bright/")


@dataclass(frozen=True, slots=True)
class Description:
    """All about one collection that ir_datasets tells offline; `bibtex` holds whole entries."""

    entry: Entry
    variants: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    about: str = ""
    licence: str = ""
    bibtex: tuple[str, ...] = field(default=())


def list_datasets() -> list[Entry]:
    """Every collection that has documents and queries, by id."""
    registry = ir_datasets().registry
    found = ((name, registry._registered[name]) for name in sorted(registry))
    return [
        _entry(name, handler) for name, handler in found if handler.has("docs") and handler.has("queries")
    ]


def describe(name: str) -> Description:
    """The description of that id; UnknownNameError for one that is not in `list_datasets`."""
    entries = {entry.id: entry for entry in list_datasets()}
    if name not in entries:
        raise UnknownNameError("dataset", name, entries, "list them: reasonrank datasets")
    handler = ir_datasets().registry._registered[name]
    documentation: dict[str, Any] = handler.documentation() if hasattr(handler, "documentation") else {}
    keys = documentation.get("bibtex_ids") or ()
    return Description(
        entry=entries[name],
        variants=load_dataset(name).variants(),
        measures=tuple(documentation.get("official_measures") or ()),
        about=_plain(str(documentation.get("desc", ""))),
        licence=LICENCES.get(name.split("/")[0], ""),
        bibtex=tuple(entry for key in keys if (entry := _bibtex(str(key)))),
    )


def _entry(name: str, handler: Any) -> Entry:
    known = handler.metadata() if hasattr(handler, "metadata") else {}
    documents, queries, judgements = (known.get(part, {}).get("count") for part in PARTS)
    grades = known.get("qrels", {}).get("fields", {}).get("relevance", {}).get("counts_by_value", {})
    if judgements is not None and name.startswith("bright/"):
        judgements -= grades.get(EXCLUDED_RELEVANCE, 0)
    return Entry(name, documents, queries, judgements, bool(handler.has("qrels")), passage_tokens(name))


def _plain(text: str) -> str:
    """A description's HTML as one line of text."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _bibtex(key: str) -> str:
    """The entry of that key in ir_datasets' bibliography; empty when it is not there."""
    import pkgutil

    library = (pkgutil.get_data("ir_datasets", "docs/bibliography.bib") or b"").decode("utf-8")
    found = re.search(r"^@\w+\{\s*" + re.escape(key) + r"\s*,.*?(?=^@|\Z)", library, re.MULTILINE | re.DOTALL)
    return found[0].strip() if found else ""
