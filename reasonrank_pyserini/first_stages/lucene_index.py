"""Lucene indexes of corpora, built once by Anserini and cached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, ReasonRankError
from ..files.caches import cached_folder, documents_sha256
from ..files.corpora import Corpus
from ..types import Document
from .java import HEAP_VARIABLE, JavaInfo, ensure_java, heap_bytes
from .java.home import anserini_jar
from .java.surroundings import java_environment

_PART_BYTES = 64 << 20
"""Bytes of each file; Anserini's threads take one file at a time."""

_MEMORY_BUFFER = 256
"""Megabytes of postings kept before they are written; Anserini's 4096 can be more than the heap."""

_JAVA_WHITE_SPACE = "".join(map(chr, range(33)))


def build_index(
    corpus: str | Path | Iterable[Document],
    identity: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> Path:
    """The folder of the Lucene index of a corpus, from the cache, or built by Anserini's JsonCollection.

    `corpus` is a file, a folder (see `files.corpora.Corpus`) or documents that can be read twice. The indexed text
    is title, newline, text, or the text alone if it starts with the title; title and text are stored. The key of
    the cache is the corpus's sha256 and Anserini's version; `identity`, JSON values that identify the documents,
    such as a data set and its revision, replaces the sha256 and saves reading them. Documents without text are left
    out, of documents with the same id the first counts.
    """
    documents = Corpus(corpus) if isinstance(corpus, str | Path) else corpus
    content = {
        "anserini": anserini_jar().name,
        "corpus": dict(identity) if identity is not None else {"sha256": documents_sha256(documents)},
        "layout": 1,
    }

    def build(folder: Path) -> None:
        _build(folder, documents, threads or os.cpu_count() or 1)

    return cached_folder("lucene", content, build) / "index"


def contents(document: Document) -> str:
    """The text of a document that is searched."""
    if not document.title or document.text.startswith(document.title):
        return document.text
    return f"{document.title}\n{document.text}"


def _build(folder: Path, documents: Iterable[Document], threads: int) -> None:
    parts = folder / "parts"
    parts.mkdir()
    written = _write_parts(parts, documents)
    if not written:
        raise InputError("the corpus has no documents with text: nothing to index")
    java = ensure_java()
    said = _run_anserini(java, parts, folder / "index", threads)
    shutil.rmtree(parts)
    indexed = _count(folder / "index")
    if indexed != written:
        raise ReasonRankError(f"Anserini indexed {indexed:,} of {written:,} documents: {_complaint(said)}")


def _write_parts(folder: Path, documents: Iterable[Document]) -> int:
    """Write the documents in Anserini's format; the number written."""
    seen: set[str] = set()
    lines = (line for document in documents if (line := _line(document, seen)) is not None)
    line, number = next(lines, None), 0
    while line is not None:
        number += 1
        with (folder / f"{number:05}.jsonl").open("w", encoding="ascii") as stream:
            while line is not None and stream.tell() < _PART_BYTES:
                stream.write(line)
                line = next(lines, None)
    return len(seen)


def _line(document: Document, seen: set[str]) -> str | None:
    searched = contents(document)
    if document.id in seen or not searched.strip().strip(_JAVA_WHITE_SPACE):
        return None
    seen.add(document.id)
    record = {"id": document.id, "contents": searched}
    if searched != document.text:
        record |= {"title": document.title, "text": document.text}
    elif document.title:
        record |= {"title": document.title}
    return json.dumps(record) + "\n"


def _run_anserini(java: JavaInfo, source: Path, index: Path, threads: int) -> str:
    """Run Anserini's indexer as a separate program, which Ctrl-C ends; its log."""
    heap = os.environ.get(HEAP_VARIABLE)
    command = [
        str(java.command), *([f"-Xmx{heap_bytes(heap)}"] if heap else []), "-Xrs", "-cp", str(anserini_jar()),
        "io.anserini.index.IndexCollection", "-collection", "JsonCollection", "-input", str(source),
        "-generator", "DefaultLuceneDocumentGenerator", "-index", str(index), "-storeRaw",
        "-threads", str(threads), "-memoryBuffer", str(_MEMORY_BUFFER),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=java_environment(java.home),
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode or not any(index.glob("segments_*")):
        raise ReasonRankError(
            f"Anserini could not build an index (exit {done.returncode}): {_complaint(done.stdout)}"
        )
    return done.stdout


def _complaint(said: str) -> str:
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    wrong = [
        line
        for line in lines
        if any(word in line for word in ("ERROR", "Exception", "Error:", "OutOfMemory"))
    ]
    return ((wrong or lines[-1:] or ["no output"])[0])[:300]


def _count(index: Path) -> int:
    from jnius import autoclass

    reader = autoclass("io.anserini.index.IndexReaderUtils").getReader(str(index))
    try:
        return int(reader.numDocs())
    finally:
        reader.close()
