"""The texts that a Lucene index stores, and one that stores none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lucene_kit import cache, corpus, stage

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.lucene import LuceneDocstore, LuceneFirstStage
from reasonrank_pyserini.first_stages.lucene_index import build_index
from reasonrank_pyserini.types import Document

__all__ = ["cache", "corpus", "stage"]  # fixtures


def test_texts_come_back_from_the_index(corpus: Path, stage: LuceneFirstStage) -> None:
    store = LuceneDocstore(stage.folder)
    found = store.get_many(["d two", "nope", "d é 😀", "4", "d3", "blank", "\ud800", "4"])
    assert list(found.values()) == [
        Document("d two", "of time and of cost", "Sharing"),
        Document("d é 😀", "naïve café 😀 \u0000 sharing \ufffd of 東京"),
        Document("4", "Trees and heaps", "Trees"),
        Document("d3", "parallel machines share nothing"),
    ]
    assert list(found) == ["d two", "d é 😀", "4", "d3"]
    assert store.get_many([]) == {}
    assert sorted(document.id for document in store) == sorted(
        ["d1", "d two", "d3", "4", "d é 😀", "d6", "d7"]
    )
    assert len(store) == 7
    store.close()


def test_bulk_reading_is_complete() -> None:
    documents = [Document(f"id {n}", f"text number {n}") for n in range(1500)]
    store = LuceneDocstore(build_index(documents))
    assert store.get_many(document.id for document in documents) == {one.id: one for one in documents}
    assert {one.id: one for one in store} == {one.id: one for one in documents}


@pytest.mark.parametrize("option", [None, "-storeContents"])
def test_an_index_without_sources(tmp_path: Path, stage: LuceneFirstStage, option: str | None) -> None:
    from reasonrank_pyserini.first_stages.java import ensure_java
    from reasonrank_pyserini.first_stages.java.home import anserini_jar

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "docs.jsonl").write_text('{"id": "a", "contents": "apple pie"}\n')
    subprocess.run(
        [str(ensure_java().command), "-cp", str(anserini_jar()), "io.anserini.index.IndexCollection", "-collection",
         "JsonCollection", "-input", str(tmp_path / "in"), "-index", str(tmp_path / "out"),
         *([option] if option else [])],
        check=True, capture_output=True,
    )  # fmt: skip
    store = LuceneDocstore(tmp_path / "out")
    if option:
        assert store.get_many(["a"]) == {"a": Document("a", "apple pie")}
    else:
        with pytest.raises(InputError, match="stores no texts: build it with --storeRaw"):
            store.get_many(["a"])
