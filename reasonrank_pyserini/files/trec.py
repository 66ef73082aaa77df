"""TREC runs: a line `query Q0 document rank score tag` for each retrieved document."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..errors import FileFormatError, InputError
from ..types import ScoredDocument
from .atomic import atomic_open
from .decreasing import strictly_decreasing
from .kinds import resemblance
from .lines import printable

_COLUMNS = "query Q0 document rank score tag"
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_BREAKS = re.compile(rb"[\r\v\f\0]")


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run as read: documents per query in line order; `duplicates` lines named a document again (`repeated`).

    `contradicted`: the queries whose ranks give another order than their scores.
    """

    path: str
    run: dict[str, list[ScoredDocument]]
    lines: int
    duplicates: int = 0
    first_duplicate: str = ""
    repeated: Mapping[str, Sequence[ScoredDocument]] = field(default_factory=dict)
    contradicted: Sequence[str] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each thing the user should know; empty for an ordinary run."""
        notes = []
        if self.duplicates:
            plural = "s" if self.duplicates > 1 else ""
            notes.append(
                f"{self.path}: {self.duplicates} duplicate document{plural} dropped, the first of each query kept "
                f"({self.first_duplicate})"
            )
        if self.contradicted:
            count = len(self.contradicted)
            notes.append(
                f"{self.path}: the ranks of {count} {'query' if count == 1 else 'queries'}, e.g. "
                f"{printable(self.contradicted[0])}, contradict the scores, which count for trec_eval "
                "(negate scores where the lower is better)"
            )
        return tuple(notes)


def read_trec(path: str | Path, numbered: Iterable[tuple[int, bytes]]) -> RunReport:
    """The run in the numbered lines of that file; FileFormatError with the line that cannot be read."""
    by_query: dict[str, dict[str, ScoredDocument]] = {}
    repeated: dict[str, list[ScoredDocument]] = {}
    ranks: dict[str, array[float]] = {}
    lines = duplicates = 0
    first = ""
    for number, line in numbered:
        try:
            query, document, rank, score = _fields(line, path, number)
        except FileFormatError as error:
            hint = "" if lines else resemblance(line, "a TREC run")
            raise FileFormatError(path, number, error.problem + hint) from error
        if (documents := by_query.get(query)) is None:
            documents = by_query[query] = {}
            ranks[query] = array("d")
        if document in documents:
            duplicates += 1
            repeated.setdefault(query, []).append(ScoredDocument(document, score))
            first = first or f"line {number}: query {printable(query)}, document {printable(document)}"
        else:
            documents[document] = ScoredDocument(document, score)
            ranks[query].append(rank)
        lines += 1
    if not lines:
        raise FileFormatError(path, None, f"the file is empty; a run has lines of {_COLUMNS!r}")
    run = {query: list(by_query.pop(query).values()) for query in tuple(by_query)}
    contradicted = [query for query, hits in run.items() if _contradict(ranks[query], hits)]
    return RunReport(str(path), run, lines, duplicates, first, repeated, contradicted)


def _contradict(ranks: Sequence[float], hits: Sequence[ScoredDocument]) -> bool:
    """Whether a rank falls as one goes down the scores, ties in the order of lines."""
    by_score = sorted(range(len(hits)), key=[-hit.score for hit in hits].__getitem__)
    return any(ranks[upper] > ranks[lower] for upper, lower in pairwise(by_score))


def order_by_score(
    run: Mapping[str, Sequence[ScoredDocument]],
) -> tuple[dict[str, list[ScoredDocument]], tuple[str, ...]]:
    """The run by descending score, as trec_eval reads it, ties in the given order; and the queries that change."""
    ordered = {query: sorted(hits, key=lambda hit: -hit.score) for query, hits in run.items()}
    return ordered, tuple(query for query, hits in run.items() if ordered[query] != list(hits))


def _fields(line: bytes, path: str | Path, number: int) -> tuple[str, str, float, float]:
    fields = line.split()
    if fields[0] == b"#" and fields[1:2] != [b"Q0"]:
        raise FileFormatError(path, number, "a comment, which no run has: delete such lines")
    if len(fields) == 6:
        query, _, document, rank, score, _ = fields
    elif len(fields) > 6:
        query, document, rank, score = _with_spaces(line, fields)
    else:
        raise FileFormatError(path, number, f"{len(fields)} columns where a run has 6 ({_COLUMNS})")
    if not _NUMBER.fullmatch(score) or not math.isfinite(value := float(score)):
        raise FileFormatError(path, number, f"the score {_shown(score)} is not a finite number ({_COLUMNS})")
    if not _NUMBER.fullmatch(rank):
        raise FileFormatError(path, number, f"the rank {_shown(rank)} is not a number ({_COLUMNS})")
    if _BREAKS.search(document):
        raise FileFormatError(path, number, f"a line break or NUL inside the document id {_shown(document)}")
    return query.decode(), document.decode(), float(rank), value


def _with_spaces(line: bytes, fields: Sequence[bytes]) -> tuple[bytes, bytes, bytes, bytes]:
    """(query, document, rank, score) of a line with spaces in the document id or, failing that, in the tag."""
    query, _, rest = line.split(None, 2)
    document, rank, score, _ = rest.rsplit(None, 3)
    if not (_NUMBER.fullmatch(rank) and _NUMBER.fullmatch(score)):
        whole_rank, whole_score = fields[3:5]
        if whole_rank.isdigit() and _NUMBER.fullmatch(whole_score):
            return query, fields[2], whole_rank, whole_score
    return query, document, rank, score


def _shown(field: bytes) -> str:
    text = field.decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")


def write_run(path: str | Path, run: Mapping[str, Sequence[str]], tag: str) -> None:
    """Write document ids per query, best first, as a TREC run; the file appears whole or not at all.

    Scores count down to 1: they strictly decrease in float32, so every reader keeps the order. A name that
    ends in `.gz` is compressed, `-` is standard output. A query without documents gets no line. Raises
    InputError for ids that a run file cannot hold and for a document listed twice.
    """
    ranked = (
        (query, [(one, str(len(ids) - at)) for at, one in enumerate(ids)]) for query, ids in run.items()
    )
    _write(path, ranked, tag)


def write_scored_run(path: str | Path, run: Mapping[str, Iterable[ScoredDocument]], tag: str) -> None:
    """`write_run` with given scores; the order of the lists counts.

    A score that would tie with or exceed its predecessor in float32 is moved just below it.
    """
    _write(path, ((query, _countdown(query, list(documents))) for query, documents in run.items()), tag)


def _countdown(query: str, documents: Sequence[ScoredDocument]) -> list[tuple[str, str]]:
    try:
        scores = list(strictly_decreasing(one.score for one in documents))
    except ValueError as error:
        raise InputError(f"cannot write the scores of query {query!r}: {error}") from error
    return [(one.id, repr(score)) for one, score in zip(documents, scores, strict=True)]


def _write(path: str | Path, ranked: Iterable[tuple[str, list[tuple[str, str]]]], tag: str) -> None:
    check_tag(tag)
    with atomic_open(path) as stream:
        for query, documents in ranked:
            check_ids(query, [document for document, _ in documents])
            for rank, (document, score) in enumerate(documents, 1):
                stream.write(f"{query} Q0 {document} {rank} {score} {tag}\n")


def check_ids(query: str, documents: Sequence[str]) -> None:
    """InputError for ids that a run file cannot hold and for a document listed twice."""
    _check("query id", query, _one_word)
    if len(set(documents)) < len(documents):
        raise InputError(f"query {query!r} lists a document twice; a run lists each once")
    for document in documents:
        _check("document id", document, _inner_spaces)


def check_tag(tag: str) -> None:
    """InputError for a tag that is not one word."""
    _check("tag", tag, _one_word)


def _check(kind: str, text: str, fits: Callable[[bytes], bool]) -> None:
    if not isinstance(text, str):
        raise InputError(f"the {kind} {text!r} is not a string")
    try:
        if fits(text.encode()):
            return
    except UnicodeEncodeError as error:
        raise InputError(f"the {kind} {text!r} cannot be encoded as UTF-8") from error
    raise InputError(
        f"the {kind} {text!r} does not fit in a run file (it is empty, or contains spaces or line breaks)"
    )


def _one_word(field: bytes) -> bool:
    return (
        len(field.split()) == 1
        and field.strip() == field
        and b"\0" not in field
        and field[:3] != b"\xef\xbb\xbf"
    )


def _inner_spaces(field: bytes) -> bool:
    return bool(field) and field.strip() == field and not re.search(rb"[\n\r\v\f\0]", field)
