"""Importing this registers `r2med/<task>` and `bright/<task>/<variant>` with ir_datasets.

`bright/biology/gpt4-reason` has the documents and judgements of `bright/biology` and the rewritten queries; its
qrels leave out the rows with relevance -100. Ids that ir_datasets has already are left alone. Run as a program,
this starts the command line of ir_datasets or ir_measures with these ids registered:

    python -m reasonrank_pyserini.ir_datasets_plugin ir_datasets export r2med/biology queries
    python -m reasonrank_pyserini.ir_datasets_plugin ir_measures bright/biology/gpt4-reason run.trec nDCG@10
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from .datasets import SOURCES, load_dataset
from .datasets.irds_errors import ir_datasets
from .errors import InputError, UnknownNameError
from .lazy import resolve


def register() -> None:
    """Register the ids with ir_datasets, except those it has already. Nothing is downloaded."""
    registry = ir_datasets().registry
    for name in sorted(_document_counts()):
        if name not in registry:
            registry.register(name, _collection(name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `ir_datasets ...` or `ir_measures ...`; exits as they do, and with 2 for bad input."""
    program, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    try:
        run = PROGRAMS.get(program)
        if run is None:
            raise UnknownNameError("program", program, PROGRAMS, "its own arguments follow")
        run(rest)
    except InputError as error:
        sys.stderr.write(f"{program}: {error}\n")
        raise SystemExit(2) from error


def _run_ir_datasets(arguments: Sequence[str]) -> None:
    ir_datasets().main(list(arguments))


def _run_ir_measures(arguments: Sequence[str]) -> None:
    from ir_measures.__main__ import main_cli

    sys.argv = ["ir_measures", *arguments]
    main_cli()


PROGRAMS: dict[str, Callable[[Sequence[str]], None]] = {
    "ir_datasets": _run_ir_datasets,
    "ir_measures": _run_ir_measures,
}


@cache
def _document_counts() -> dict[str, int | None]:
    counts: dict[str, int | None] = resolve("dataset source", "plug-in ids", SOURCES)()
    return counts


def _collection(name: str) -> Any:
    """An ir_datasets Dataset of that id, with the components below on ir_datasets' base classes."""
    package = ir_datasets()
    formats = package.formats
    parts = ((_Docs, formats.BaseDocs), (_Queries, formats.BaseQueries), (_Qrels, formats.BaseQrels))
    return package.Dataset(*(type(own.__name__, (own, base), {})(name) for own, base in parts))


@cache
def _dataset(name: str) -> Any:
    return load_dataset(name)


class _Docs:
    """The documents component that ir_datasets expects, backed by the data set of that id."""

    def __init__(self, name: str) -> None:
        self._name = name

    def docs_iter(self) -> Any:
        return iter(self.docs_store())

    def docs_store(self, field: str = "doc_id") -> Any:
        return _dataset(self._name).documents.store

    def docs_cls(self) -> Any:
        return ir_datasets().formats.GenericDoc

    def docs_count(self) -> int | None:
        """The published count; nothing is read."""
        return _document_counts()[self._name]

    def docs_namespace(self) -> str:
        return self._name

    def docs_lang(self) -> str:
        return "en"


class _Queries:
    """The queries component that ir_datasets expects."""

    def __init__(self, name: str) -> None:
        self._name = name

    def queries_iter(self) -> Iterator[Any]:
        return (self.queries_cls()(query.id, query.text) for query in _dataset(self._name).queries())

    def queries_cls(self) -> Any:
        return ir_datasets().formats.GenericQuery

    def queries_namespace(self) -> str:
        return self._name

    def queries_lang(self) -> str:
        return "en"


class _Qrels:
    """The qrels component that ir_datasets expects."""

    def __init__(self, name: str) -> None:
        self._name = name

    def qrels_iter(self) -> Iterator[Any]:
        for query, grades in _dataset(self._name).qrels().items():
            yield from (self.qrels_cls()(query, document, grade, "0") for document, grade in grades.items())

    def qrels_cls(self) -> Any:
        return ir_datasets().formats.TrecQrel

    def qrels_defs(self) -> dict[int, str]:
        return {1: "Relevant"}


register()

if __name__ == "__main__":
    main()
