"""Dense first stages: what they find, and how their indexes are built, kept, shared and refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from dense_kit import DOCUMENTS, TEXTS, cache, ids, iter_twice

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.encoder_options import EncoderOptions
from reasonrank_pyserini.first_stages.encoders import load_encoder, passage
from reasonrank_pyserini.first_stages.faiss import DenseFirstStage, open_dense
from reasonrank_pyserini.testing import check_first_stage
from reasonrank_pyserini.types import Document, Query

__all__ = ["cache"]  # a fixture

np = pytest.importorskip("numpy")
pytest.importorskip("faiss")
pytest.importorskip("sentence_transformers")


class WordsEncoder:
    """Counts words into 1024 numbers; its inner product is the number of words in common."""

    def __init__(self, name: str = "words") -> None:
        self.identity: Mapping[str, Any] = {"name": name}
        self.passages = 0

    def encode_passages(self, documents: Sequence[Document]) -> Any:
        self.passages += len(documents)
        return self.encode_queries([passage(document) for document in documents])

    def encode_queries(self, texts: Sequence[str]) -> Any:
        rows = np.zeros((len(texts), 1024), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[zlib.crc32(word.encode()) % 1024] += 1
        return rows


def test_the_contract_holds_and_no_query_is_lost() -> None:
    stage = DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder())
    check_first_stage(stage, [Query("1", "cat milk"), Query("2", "the stock"), Query("3", "zzz")], k=3)
    assert ids(stage, "market fell", "", "  ", "sugar flour", k=1) == [["d2"], [], [], ["d5"]]


def test_k_may_exceed_the_corpus_and_equal_scores_go_by_docid() -> None:
    twins = [Document(id, "same words") for id in ("b", "c", "a")]
    stage = DenseFirstStage.from_documents([*DOCUMENTS, *twins], WordsEncoder())
    assert ids(stage, "same words", k=10**6)[0][:3] == ["a", "b", "c"]
    assert len(ids(stage, "same words", k=10**6)[0]) == 5 + 3


def test_scores_are_inner_products_as_floats() -> None:
    stage = DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder())
    (hits,) = stage.candidates([Query("q", "stock market market")], 1)
    assert [(hit.id, hit.score) for hit in hits] == [("d2", 1.0 + 2.0)]


def test_an_index_is_built_once_and_again_for_other_documents_or_encoders(cache: Path) -> None:
    first, second, third = WordsEncoder(), WordsEncoder(), WordsEncoder("other")
    built = DenseFirstStage.from_documents(DOCUMENTS, first)
    assert DenseFirstStage.from_documents(iter_twice(DOCUMENTS), second).folder == built.folder
    assert DenseFirstStage.from_documents(DOCUMENTS, third).folder != built.folder
    assert DenseFirstStage.from_documents(DOCUMENTS[:4], first).folder != built.folder
    assert (first.passages, second.passages, third.passages) == (5 + 4, 0, 5)
    assert json.loads((built.folder / "content.json").read_text())["encoder"] == {"name": "words"}


def test_named_documents_are_not_read_when_their_index_is_there() -> None:
    def unreadable() -> Iterator[Document]:
        raise AssertionError("read again")
        yield DOCUMENTS[0]

    name = {"dataset": "mine", "version": 3}
    built = DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder(), name)
    assert DenseFirstStage.from_documents(unreadable(), WordsEncoder(), name).folder == built.folder


def test_threads_that_need_the_same_index_build_it_once() -> None:
    encoder = WordsEncoder()
    folders: list[Path] = []
    work = [
        threading.Thread(
            target=lambda: folders.append(DenseFirstStage.from_documents(DOCUMENTS, encoder).folder)
        )
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert encoder.passages == 5


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    class Failing(WordsEncoder):
        def encode_passages(self, documents: Sequence[Document]) -> Any:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        DenseFirstStage.from_documents(DOCUMENTS, Failing())
    assert [path for path in (cache / "dense").iterdir() if path.is_dir()] == []
    assert ids(DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder()), "sofa", k=1) == [["d1"]]


def test_documents_come_in_chunks_and_the_first_of_an_id_counts() -> None:
    many = [Document(f"n{n}", f"number{n}") for n in range(2000)]
    again = [Document("n3", "something else"), *many[:5], Document("last", "number3 number3")]
    seen: list[int] = []
    encoder = WordsEncoder()
    stage = DenseFirstStage.from_documents([*many, *again], encoder, progress=seen.append)
    assert encoder.passages == 2000 + 1
    assert sum(seen) == 2000 + 7
    assert max(seen) < 2000
    assert ids(stage, "number3", k=1) == [["last"]]


def test_docids_with_blanks_survive_and_pyserini_reads_the_folder() -> None:
    odd = [
        Document("a b", "one"),
        Document(" c  d ", "two"),
        Document("é\tx", "three"),
        Document("e", "four"),
    ]
    stage = DenseFirstStage.from_documents(odd, WordsEncoder())
    assert ids(stage, "one", "two", "three", k=1) == [["a b"], [" c  d "], ["é\tx"]]
    assert (stage.folder / "docid").read_text().splitlines() == ["a b", "c d", "é x", "e"]


def test_a_folder_in_pyserinis_layout_is_searched(tmp_path: Path) -> None:
    import faiss

    encoder, folder = WordsEncoder(), tmp_path / "theirs"
    folder.mkdir()
    index = faiss.IndexFlatIP(1024)
    index.add(encoder.encode_passages(DOCUMENTS))
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"{id}\n" for id in TEXTS))
    assert ids(DenseFirstStage(folder, encoder), "sugar", "sofa", k=1) == [["d5"], ["d1"]]


def test_an_encoder_of_another_dimension_is_named() -> None:
    class Narrow(WordsEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Any:
            return super().encode_queries(texts)[:, :8]

    folder = DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder()).folder
    with pytest.raises(InputError, match="has vectors of 1024 numbers, the encoder gives 8"):
        DenseFirstStage(folder, Narrow()).candidates([Query("q", "cat")], 1)


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ("/nowhere/at/all", "no index folder"),
        ("msmarco-v1-passage.tct_colbertt", "did you mean 'msmarco-v1-passage.tct_"),
    ],
)
def test_an_index_that_is_not_there(index: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        DenseFirstStage(index, WordsEncoder())


def test_a_folder_that_is_not_a_faiss_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="index and docid missing"):
        DenseFirstStage(tmp_path, WordsEncoder())
    (tmp_path / "segments_1").touch()
    with pytest.raises(InputError, match="Lucene index: use `method` bm25"):
        DenseFirstStage(tmp_path, WordsEncoder())


def test_an_empty_corpus_and_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="no documents"):
        DenseFirstStage.from_documents([], WordsEncoder())
    with pytest.raises(InputError, match="threads is 0"):
        DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder(), threads=0)
    with pytest.raises(InputError, match="needs `encoder`"):
        open_dense(corpus=DOCUMENTS)
    with pytest.raises(InputError, match="either an index or a corpus"):
        open_dense(encoder=EncoderOptions("words"))
    with pytest.raises(InputError, match="max length is 0"):
        EncoderOptions("m", max_length=0)
    with pytest.raises(InputError, match="unknown pooling 'max'"):
        EncoderOptions("m", pooling="max")


def test_an_encoder_of_the_users_own() -> None:
    encoder = load_encoder(EncoderOptions("words", kind=f"{__name__}:OwnEncoder"))
    stage = DenseFirstStage.from_documents(DOCUMENTS, encoder)
    assert ids(stage, "sugar", k=1) == [["d5"]]


class OwnEncoder(WordsEncoder):
    def __init__(self, spec: EncoderOptions) -> None:
        super().__init__(spec.model)


def test_importing_the_adapter_loads_nothing_heavy() -> None:
    code = (
        "import sys, reasonrank_pyserini.first_stages.faiss; "
        "print(sorted({'torch', 'faiss', 'pyserini', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
