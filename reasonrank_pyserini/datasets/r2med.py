"""R2MED: eight medical tasks, with queries rewritten by three methods and eleven models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ..errors import FileFormatError, UnknownNameError
from ..files.downloads import HubFile, RemoteFile
from ..types import Query
from . import passage_tokens
from .docstore import StoredDocuments
from .tables import json_lines, table

REWRITES: dict[str, Callable[[str, str], str]] = {
    "hyde": lambda text, hypothetical: hypothetical,
    "query2doc": lambda text, hypothetical: f"{text}{text} {hypothetical}",
    "lamer": lambda text, hypothetical: f"{text} {hypothetical}",
}
"""How each method combines the query and its hypothetical document, as in R2MED's BM25 evaluation."""


def ids() -> tuple[str, ...]:
    """Every task's id."""
    return tuple(f"r2med/{task}" for task in table("r2med")["tasks"])


def load(name: str) -> R2MedDataset:
    """`r2med/<task>` in any case, with hyphens or underscores; UnknownNameError for any other."""
    task = name.partition("/")[2].lower().replace("_", "-")
    if f"r2med/{task}" not in ids():
        raise UnknownNameError("dataset", name, ids(), "list them: reasonrank datasets")
    return R2MedDataset(task)


class R2MedDataset:
    """A Dataset of one R2MED task; a query variant is `<method>/<model>`."""

    def __init__(self, task: str) -> None:
        self._task = task

    @property
    def id(self) -> str:
        return f"r2med/{self._task}"

    @property
    def passage_tokens(self) -> int | None:
        return passage_tokens("r2med/")

    @cached_property
    def documents(self) -> StoredDocuments:
        file = self._file("corpus.jsonl")
        source = {"repository": file.repo, "file": file.path, "revision": file.revision}
        return StoredDocuments(file, f"docstore-r2med-{self._task}-{file.revision[:12]}", source, _texts)

    def queries(self, variant: str | None = None) -> Sequence[Query]:
        """The queries, in one download."""
        if variant is None:
            lines = json_lines(self._file("query.jsonl").fetch(), ("id", "text"))
            return [Query(str(line["id"]), str(line["text"])) for line in lines]
        file = self._file(self._rewritten(variant))
        rewrite = REWRITES[file.path.partition("/")[0]]
        lines = json_lines(file.fetch(), ("id", "text", "hy_doc"))
        return [Query(str(line["id"]), rewrite(str(line["text"]), str(line["hy_doc"]))) for line in lines]

    def variants(self) -> tuple[str, ...]:
        known = table("r2med")["rewrites"]
        return tuple(f"{method}/{model}" for method in known["methods"] for model in known["models"])

    def qrels(self, kind: str = "plain") -> Mapping[str, Mapping[str, int]]:
        """Grades by query and docid; of several judgements of one document the highest counts."""
        self._check_kind(kind)
        return self._judged

    def excluded(self, query_id: str) -> frozenset[str]:
        return frozenset()

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
        for kind in qrels_kinds:
            self._check_kind(kind)
        names = ["query.jsonl", *(self._rewritten(variant) for variant in variants)]
        names += ["qrels.jsonl"] if qrels_kinds else []
        names += ["corpus.jsonl"] if documents else []
        return tuple(self._file(name) for name in dict.fromkeys(names))

    @cached_property
    def _judged(self) -> dict[str, dict[str, int]]:
        path = self._file("qrels.jsonl").fetch()
        qrels: dict[str, dict[str, int]] = {}
        for line in json_lines(path, ("q_id", "p_id", "score")):
            grades, document = qrels.setdefault(str(line["q_id"]), {}), str(line["p_id"])
            try:
                grade = int(line["score"])
            except (TypeError, ValueError):
                raise FileFormatError(
                    path, None, f"the score {line['score']!r} is not a whole number"
                ) from None
            grades[document] = max(grade, grades.get(document, grade))
        return qrels

    def _rewritten(self, variant: str) -> str:
        name = variant.lower().replace("_", "-")
        if name not in self.variants():
            raise UnknownNameError(f"query variant of {self.id}", variant, self.variants())
        return f"{name}/query_with_hydoc.jsonl"

    def _check_kind(self, kind: str) -> None:
        if kind != "plain":
            raise UnknownNameError(f"qrels kind of {self.id}", kind, ["plain"])

    def _file(self, path: str) -> HubFile:
        task = table("r2med")["tasks"][self._task]
        checks = task.get("files", {}).get(path, {})
        return HubFile(task["repository"], path, task["revision"], **checks)


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    return ((str(line["id"]), str(line["text"])) for line in json_lines(path, ("id", "text")))
