"""The test collections that exist and their metadata, without reading or downloading them."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnknownNameError
from . import load_dataset, passage_tokens
from .irds_errors import ir_datasets
from .nano.world import DATASETS, World
from .tables import table

PARTS = ("docs", "queries", "qrels")
EXCLUDED_RELEVANCE = "-100"
"""The grade with which ir_datasets marks BRIGHT's excluded documents, which are not judgements."""
LICENCES = {"bright": "CC BY 4.0"}
"""Licences that ir_datasets does not list, by family."""
R2MED, OFFICIAL_MEASURE = "r2med/", "nDCG@10"
NANO_ABOUT = """\
A small world of text that the package makes itself. A query describes a concept by two clues, in a setting; a passage \
names a concept in a setting. Relevant are the passages with both, which share no clue word with the query."""
BENCHMARKS = {"bright": "BRIGHT", "r2med": "R2MED"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection with documents and queries; unknown counts are None, `judged` is whether qrels exist."""

    id: str
    documents: int | None
    queries: int | None
    judgements: int | None
    judged: bool
    passage_tokens: int | None

    @property
    def benchmark(self) -> str:
        """The benchmark that this is a task of; empty for other collections."""
        return BENCHMARKS.get(self.id.partition("/")[0], "")


@dataclass(frozen=True, slots=True)
class Description:
    """The metadata of one collection; `bibtex` holds whole entries."""

    entry: Entry
    variants: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    about: str = ""
    licence: str = ""
    bibtex: tuple[str, ...] = field(default=())


def list_datasets() -> list[Entry]:
    """Every collection that has documents and queries, by id."""
    registry = ir_datasets().registry
    handlers = ((name, registry._registered[name]) for name in registry if not name.startswith(R2MED))
    entries = [
        _entry(name, handler) for name, handler in handlers if handler.has("docs") and handler.has("queries")
    ]
    tasks = table("r2med")["tasks"].items()
    entries += [
        Entry(R2MED + task, known["documents"], known["queries"], None, True, passage_tokens(R2MED))
        for task, known in tasks
    ]
    entries += [_nano_entry(name) for name in DATASETS]
    return sorted(entries, key=lambda entry: entry.id)


def plugin_ids() -> dict[str, int | None]:
    """Document counts of the ids missing in ir_datasets: R2MED's tasks and BRIGHT's rewritten queries."""
    counts: dict[str, int | None] = {}
    for entry in list_datasets():
        if re.fullmatch(r"bright/[^/]+", entry.id):
            for variant in load_dataset(entry.id).variants():
                counts[f"{entry.id}/{variant.replace('_', '-')}"] = entry.documents
        elif entry.id.startswith(R2MED):
            counts[entry.id] = entry.documents
    return counts


def describe(name: str) -> Description:
    """The description of that id; UnknownNameError for one that is not in `list_datasets`."""
    entries = {entry.id: entry for entry in list_datasets()}
    if name not in entries:
        raise UnknownNameError("dataset", name, entries, "list them: reasonrank datasets")
    entry, variants = entries[name], load_dataset(name).variants()
    if name.startswith(R2MED):
        known = table("r2med")
        bibtex = (known["bibtex"].strip(),)
        return Description(entry, variants, (OFFICIAL_MEASURE,), known["about"], known["licence"], bibtex)
    if name in DATASETS:
        return Description(entry, variants, (OFFICIAL_MEASURE,), NANO_ABOUT, "MIT")
    handler = ir_datasets().registry._registered[name]
    documentation: dict[str, Any] = handler.documentation() if hasattr(handler, "documentation") else {}
    keys = documentation.get("bibtex_ids") or ()
    return Description(
        entry=entry,
        variants=variants,
        measures=tuple(documentation.get("official_measures") or ()),
        about=_plain(str(documentation.get("desc", ""))),
        licence=LICENCES.get(name.split("/")[0], ""),
        bibtex=tuple(text for key in keys if (text := _bibtex(str(key)))),
    )


def _entry(name: str, handler: Any) -> Entry:
    known = handler.metadata() if hasattr(handler, "metadata") else {}
    documents, queries, judgements = (known.get(part, {}).get("count") for part in PARTS)
    grades = known.get("qrels", {}).get("fields", {}).get("relevance", {}).get("counts_by_value", {})
    if judgements is not None and name.startswith("bright/"):
        judgements -= grades.get(EXCLUDED_RELEVANCE, 0)
    return Entry(name, documents, queries, judgements, bool(handler.has("qrels")), passage_tokens(name))


def _nano_entry(name: str) -> Entry:
    world, split = World.load(), name.removeprefix("nano/")
    judgements = sum(map(len, world.qrels(split).values()))
    documents, topics = world.corpus(split), world.topics(split)
    return Entry(name, len(documents), len(topics), judgements, True, passage_tokens(name))


def _plain(text: str) -> str:
    """A description's HTML as one line of text."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _bibtex(key: str) -> str:
    """The entry with that key in ir_datasets' bibliography; empty when there is none."""
    import pkgutil

    library = (pkgutil.get_data("ir_datasets", "docs/bibliography.bib") or b"").decode("utf-8")
    found = re.search(r"^@\w+\{\s*" + re.escape(key) + r"\s*,.*?(?=^@|\Z)", library, re.MULTILINE | re.DOTALL)
    return found[0].strip() if found else ""
