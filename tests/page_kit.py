"""A small reranking and its inputs, the page that `reasonrank report` writes of it, and the page read back."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report_kit import WritingJudge, corpus, rerank

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import Document

RUN = {"q1": ["a", "b", "c", "d"], "q2": ["e", "b", "f"]}
QRELS = {"q1": {"d": 1, "z": 1}, "q2": {"e": 1}, "q9": {"x": 1}}
TOPICS = {"q1": "moths and lamps", "q2": "why is glass wet"}
TEXTS = {id: f"passage {id} " + "word " * 80 for id in "abcdef"}
EVERYTHING = ("--qrels", "qrels", "--corpus", "corpus.jsonl", "--topics", "topics.tsv")


class Page:
    """A written page: its data, unpacked as the script would."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        found = re.search(r'<script type="application/json" id="index">(.*?)</script>', self.text, re.DOTALL)
        assert found is not None
        self.raw_index = found[1]
        self.index: dict[str, Any] = json.loads(found[1])
        packed = re.findall(
            r'<script type="application/octet-stream" id="(\w+)">([\w+/=]*)</script>', self.text
        )
        self.packed = dict(packed)
        self.blocks = {id: json.loads(zlib.decompress(base64.b64decode(data), -15)) for id, data in packed}


class Documents:
    """A docstore in memory."""

    def __init__(self, documents: dict[str, Document]) -> None:
        self.documents = documents

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        return {id: self.documents[id] for id in ids if id in self.documents}

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents.values())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rerank(
        Path("out"), RUN, queries=TOPICS, texts=TEXTS, judge=WritingJudge(OracleJudge(QRELS)), window=(2, 1)
    )
    corpus(Path("corpus.jsonl"), TEXTS)
    Path("topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in TOPICS.items()))
    Path("qrels").write_text(
        "".join(f"{q} 0 {d} {g}\n" for q, docs in QRELS.items() for d, g in docs.items())
    )
    Path("run").write_text(
        "".join(f"{q} Q0 {d} {n} {-n} t\n" for q, docs in RUN.items() for n, d in enumerate(docs, 1))
    )
    return tmp_path


def report(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments, "-o", "page.html"])
    assert isinstance(end.value.code, int)
    return end.value.code
