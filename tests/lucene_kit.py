"""Shared by the tests of Lucene: a cache, a small corpus, its index opened by both methods, one question."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from reasonrank_pyserini.first_stages.lucene import LuceneFirstStage, open_lucene
from reasonrank_pyserini.types import Query, ScoredDocument

CORPUS = [
    {"id": "d1", "contents": "time sharing systems"},
    {"id": "d two", "title": "Sharing", "text": "of time and of cost"},
    {"_id": "d3", "title": "", "text": "parallel machines share nothing"},
    {"id": 4, "title": "Trees", "text": "Trees and heaps", "metadata": {"year": 1964}},
    {"id": "d é 😀", "contents": "naïve café 😀 \u0000 sharing \ud800 of 東京"},
    {"id": "blank", "contents": " \n\u3000"},
    {"id": "d6", "contents": "sharing sharing sharing"},
    {"id": "d7", "contents": "nothing of note"},
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("REASONRANK_CACHE", str(folder))
        patch.delenv("REASONRANK_JAVA_HEAP", raising=False)
        yield folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in CORPUS))
    return path


@pytest.fixture(scope="module")
def stage(corpus: Path) -> Iterator[LuceneFirstStage]:
    with open_lucene(corpus=corpus, threads=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def stage_q(corpus: Path) -> Iterator[LuceneFirstStage]:
    with open_lucene(corpus=corpus, method="bm25q", threads=2) as opened:
        yield opened


def ids(hits: Sequence[ScoredDocument]) -> list[str]:
    return [hit.id for hit in hits]


def ask(stage: LuceneFirstStage, text: str, k: int = 10) -> list[str]:
    return ids(stage.candidates([Query("q", text)], k)[0])
