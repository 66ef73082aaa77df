"""Finds training texts that share a long run of words with an evaluation."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..datasets import load_dataset
from ..errors import InputError
from ..files.document_records import DOCUMENT_IDS, QUERY_IDS, QUERY_TEXTS, find_id
from ..files.lines import read_objects, starts_with
from ..files.topics import read_topics
from ..types import TEXT_FIELDS, Document

if TYPE_CHECKING:
    import numpy as np

NGRAM = 13
"""Words in a row that count as shared, by default (as in GPT-3's filter)."""
_WORD = re.compile(r"\w+")
_BASE = 0x9E3779B97F4A7C15
_REMEMBERED = 1 << 18
"""How many words' hashes are cached."""


@dataclass(frozen=True, slots=True)
class EvaluationText:
    """A query or a document of an evaluation; `kind` is query or document, `source` its data set or file."""

    source: str
    kind: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """The first shared words of a training text, and the evaluation text that has them."""

    words: str
    source: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"shares {self.words!r} with {self.kind} {self.id!r} of {self.source}"


@dataclass(frozen=True, slots=True)
class Report:
    """The overlaps that were found, by id of the training query or document; `compared` counts evaluation texts."""

    ngram: int
    compared: int
    queries: Mapping[str, Overlap] = field(default_factory=dict)
    documents: Mapping[str, Overlap] = field(default_factory=dict)

    def as_dict(self, examples: int = 5) -> dict[str, Any]:
        """Counts, and the first few overlaps of each kind, for a manifest."""
        found = {"queries": self.queries, "documents": self.documents}
        shown = {
            name: {id: str(overlap) for id, overlap in list(overlaps.items())[:examples]}
            for name, overlaps in found.items()
        }
        counts = {name: len(overlaps) for name, overlaps in found.items()}
        return {"ngram": self.ngram, "compared": self.compared, **counts, "examples": shown}


def overlaps(
    queries: Mapping[str, str],
    documents: Iterable[Document],
    evaluation: Iterable[EvaluationText],
    *,
    ngram: int = NGRAM,
) -> Report:
    """The training queries and documents that share `ngram` words in a row with an evaluation text.

    Words are runs of letters and digits, compared without case and whatever stands between them. A text of fewer
    words counts as one run of its own length, so only an evaluation text with just these words matches it.
    The evaluation is streamed; memory is 12 bytes a training word.
    """
    if ngram < 1:
        raise InputError(f"an n-gram of {ngram} words: give at least 1")
    index = _Index(ngram)
    texts = [("query", id, text) for id, text in queries.items()]
    texts += [("document", d.id, f"{d.title} {d.text}") for d in documents]
    index.fill(text for _, _, text in texts)
    found: dict[int, Overlap] = {}
    compared = 0
    for item in evaluation:
        compared += 1
        for number, words in index.newly_shared(item.text):
            found[number] = Overlap(words, item.source, item.kind, item.id)
    named = [(texts[number][:2], overlap) for number, overlap in sorted(found.items())]
    by_kind = {
        kind: {id: overlap for (of, id), overlap in named if of == kind} for kind in ("query", "document")
    }
    return Report(ngram, compared, by_kind["query"], by_kind["document"])


class _Index:
    """Hashes of all runs of words of the training texts, sorted, each with the number of its text."""

    def __init__(self, ngram: int) -> None:
        self.ngram = ngram
        self._known: dict[str, int] = {}

    def fill(self, texts: Iterable[str]) -> None:
        import numpy as np

        hashes: list[Any] = [np.empty(0, np.uint64)]
        owners: list[Any] = [np.empty(0, np.uint32)]
        for number, text in enumerate(texts):
            grams = self._grams(_words(text))
            hashes.append(grams)
            owners.append(np.full(len(grams), number, np.uint32))
        together = np.concatenate(hashes)
        order = np.argsort(together, kind="stable")
        self._hashes, self._owners = together[order], np.concatenate(owners)[order]
        self._spent = np.zeros(len(order), bool)
        self._found: set[int] = set()

    def newly_shared(self, text: str) -> Iterator[tuple[int, str]]:
        """(number of a training text, words that it shares with this text) for texts not found before."""
        import numpy as np

        if not len(self._hashes):
            return
        words = _words(text)
        grams = self._grams(words)
        first = np.searchsorted(self._hashes, grams, "left")
        near = np.minimum(first, len(self._hashes) - 1)
        hit = (self._hashes[near] == grams) & ~self._spent[near]
        for place in np.flatnonzero(hit).tolist():
            start = int(first[place])
            if self._spent[start]:
                continue
            self._spent[start] = True
            end = int(np.searchsorted(self._hashes, grams[place], "right"))
            fresh = dict.fromkeys(n for n in self._owners[start:end].tolist() if n not in self._found)
            self._found.update(fresh)
            yield from ((number, " ".join(words[place : place + self.ngram])) for number in fresh)

    def _grams(self, words: list[str]) -> np.ndarray[Any, Any]:
        """One 64-bit hash for each run of `ngram` words; one for the whole of a shorter text."""
        import numpy as np

        known = self._known.get
        hashes = [known(word) or self._hash(word) for word in words]
        values = np.array(hashes, dtype=np.uint64)
        size = min(self.ngram, len(words))
        if not size:
            return values
        total = np.zeros(len(words) - size + 1, dtype=np.uint64)
        for offset in range(size):
            total = total * np.uint64(_BASE) + values[offset : offset + len(total)]
        return total if size == self.ngram else total + np.uint64(size)

    def _hash(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        value = int.from_bytes(digest, "little")
        if len(self._known) < _REMEMBERED:
            self._known[word] = value
        return value


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def evaluation_texts(names: Iterable[str]) -> Iterator[EvaluationText]:
    """Every query and document of data sets (any `load_dataset` id) and of files (topics, corpora), streamed."""
    for name in names:
        if os.path.isfile(name):
            yield from _file_texts(name)
            continue
        dataset = load_dataset(name)
        for query in dataset.queries():
            yield EvaluationText(dataset.id, "query", query.id, query.text)
        for document in dataset.documents:
            yield EvaluationText(dataset.id, "document", document.id, f"{document.title} {document.text}")


def _file_texts(path: str) -> Iterator[EvaluationText]:
    if starts_with(path)[:1] not in ("{", "["):
        for query in read_topics(path):
            yield EvaluationText(path, "query", query.id, query.text)
        return
    for line, record in read_objects(path):
        id = find_id(path, line, record, (*DOCUMENT_IDS, *QUERY_IDS))
        names = dict.fromkeys(["title", *TEXT_FIELDS, *QUERY_TEXTS, "content"])
        text = " ".join(str(record[name]) for name in names if isinstance(record.get(name), str))
        yield EvaluationText(path, "query" if "query" in record else "document", id, text)
