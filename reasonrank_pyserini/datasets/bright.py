"""BRIGHT: twelve tasks, eight of them with long documents too, their rewritten queries and exclusions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError
from ..files.downloads import HubFile, RemoteFile, WebFile
from ..runfile import read_qrels
from ..types import Query
from . import passage_tokens
from .docstore import StoredDocuments
from .tables import parquet_rows, table

TASKS = (
    "biology", "earth-science", "economics", "psychology", "robotics", "stackoverflow", "sustainable-living",
    "leetcode", "pony", "aops", "theoremqa-theorems", "theoremqa-questions",
)  # fmt: skip
LONG_TASKS = ("biology", "earth-science", "economics", "pony", "psychology", "robotics", "stackoverflow",
              "sustainable-living")  # fmt: skip
VARIANTS = {
    "reasoning": ("examples", "reasoning"),
    "gpt4_reason": ("gpt4_reason", "query"),
    "claude_3_opus_reason": ("claude-3-opus_reason", "query"),
    "gemini_1_0_reason": ("Gemini-1.0_reason", "query"),
    "grit_reason": ("grit_reason", "query"),
    "llama3_70b_reason": ("llama3-70b_reason", "query"),
}
"""Configuration and field of every query variant: the human note, and five models' rewrites. (Field
`reasoning` of the models' configurations repeats the human note.)"""
KINDS = ("plain", "fixed")
NOT_GIVEN = "N/A"


def ids() -> tuple[str, ...]:
    """Every task's id, those with long documents last."""
    return tuple(f"bright/{task}" for task in (*TASKS, *(f"{task}-long" for task in LONG_TASKS)))


def load(name: str) -> BrightDataset:
    """`bright/<task>[-long][/<variant>]`, with hyphens or underscores; UnknownNameError for any other id."""
    _, task, *rest = [part.lower().replace("_", "-") for part in name.split("/")]
    known = {variant.replace("_", "-"): variant for variant in VARIANTS}
    if f"bright/{task}" not in ids() or len(rest) > 1 or (rest and rest[0] not in known):
        every = [*ids(), *(f"bright/{task}/{variant}" for variant in known if f"bright/{task}" in ids())]
        raise UnknownNameError("dataset", name, every, "list them: reasonrank datasets")
    return BrightDataset(task, known[rest[0]] if rest else None)


class BrightDataset:
    """A Dataset of one BRIGHT task; `variant` is the query rewrite that `queries()` gives by default."""

    def __init__(self, task: str, variant: str | None = None) -> None:
        self._task, self._variant = task, variant
        self._long = task.endswith("-long")
        self._file_name = f"{task.removesuffix('-long').replace('-', '_')}-00000-of-00001.parquet"

    @property
    def id(self) -> str:
        return "/".join(["bright", self._task, *([self._variant.replace("_", "-")] if self._variant else [])])

    @property
    def passage_tokens(self) -> int | None:
        return passage_tokens("bright/")

    @cached_property
    def documents(self) -> StoredDocuments:
        file = self._file("long_documents" if self._long else "documents")
        source = {"repository": file.repo, "file": file.path, "revision": file.revision}
        return StoredDocuments(file, f"docstore-bright-{self._task}-{file.revision[:12]}", source, _texts)

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        """The queries, in one download; `variant` may be spelled with hyphens."""
        name = self._variant if variant is None else self._variant_named(variant)
        config, field = ("examples", "query") if name is None else VARIANTS[name]
        rows = parquet_rows(self._file(config).fetch(), ("id", field))
        return [Query(str(row["id"]), str(row[field] or "")) for row in rows]

    def variants(self) -> tuple[str, ...]:
        return tuple(VARIANTS)

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        """Plain: BRIGHT's own gold ids; fixed: as corrected by castorini, for the short tasks only."""
        if self._kind(kind) == "fixed":
            return read_qrels(self._fixed().fetch())
        return {query: dict.fromkeys(gold, 1) for query, (gold, _) in self._judged.items()}

    def excluded(self, query_id: str) -> frozenset[str]:
        _, excluded = self._judged.get(query_id, ((), frozenset()))
        return excluded

    def hub_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """The hub's id for each id in castorini's spelling (`_` for a space) that the hub does not have."""
        return self.documents.hub_ids(ids)

    def files(
        self,
        *,
        variants: Sequence[str] = (),
        qrels_kinds: Sequence[str] = ("plain",),
        documents: bool = True,
    ) -> tuple[RemoteFile, ...]:
        """The files for the queries, these variants and qrels, and the documents."""
        names = [self._variant_named(variant) for variant in variants]
        configs = [VARIANTS[name][0] for name in (*names, self._variant) if name is not None]
        files: list[RemoteFile] = [self._file(config) for config in dict.fromkeys(["examples", *configs])]
        files += [self._fixed() for kind in dict.fromkeys(qrels_kinds) if self._kind(kind) == "fixed"]
        return (*files, self.documents.file) if documents else tuple(files)

    @cached_property
    def _judged(self) -> dict[str, tuple[tuple[str, ...], frozenset[str]]]:
        """Gold and excluded ids of every query."""
        gold = "gold_ids_long" if self._long else "gold_ids"
        rows = parquet_rows(self._file("examples").fetch(), ("id", gold, "excluded_ids"))
        return {str(row["id"]): (_given(row[gold]), frozenset(_given(row["excluded_ids"]))) for row in rows}

    def _variant_named(self, variant: str) -> str:
        name = variant.replace("-", "_")
        if name not in VARIANTS:
            raise UnknownNameError(f"query variant of {self.id}", variant, VARIANTS)
        return name

    def _kind(self, kind: str) -> str:
        if kind not in KINDS:
            raise UnknownNameError(f"qrels kind of {self.id}", kind, KINDS)
        if kind == "fixed" and self._long:
            raise InputError(
                f"{self.id} has no fixed qrels: castorini corrected those of the short tasks only, use plain"
            )
        return kind

    def _file(self, config: str) -> HubFile:
        known = table("bright")
        path = f"{config}/{self._file_name}"
        checks: dict[str, Any] = known["files"].get(path, {})
        return HubFile(known["repository"], path, known["revision"], **checks)

    def _fixed(self) -> WebFile:
        known = table("bright")["qrels"]
        name = f"qrels.bright-{self._task}.fixed.txt"
        if name not in known["files"]:
            raise InputError(f"the table of BRIGHT's files does not list {name}: add its size and sha256")
        return WebFile(f"{known['url']}/{name}", **known["files"][name])


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    return ((str(row["id"]), row["content"] or "") for row in parquet_rows(path, ("id", "content")))


def _given(ids: Iterable[str] | None) -> tuple[str, ...]:
    """The ids without repetitions and without `N/A`."""
    return tuple(str(id) for id in dict.fromkeys(ids or ()) if id not in (None, NOT_GIVEN))
