"""Texts that share words with an evaluation are found, whatever stands between the words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.training.decontamination import EvaluationText, evaluation_texts, overlaps
from reasonrank_pyserini.types import Document

HELD = EvaluationText("set", "query", "e1", "one two three four five six")


def found(text: str, ngram: int = 4, held: EvaluationText = HELD) -> bool:
    return "q" in overlaps({"q": text}, (), [held], ngram=ngram).queries


def test_a_shared_run_of_words_is_found_and_quoted() -> None:
    documents = [Document("d1", "Three: FOUR (five), six!", "title"), Document("d2", "three four six five")]
    report = overlaps({"q1": "zero one two three four", "q2": "one two"}, documents, [HELD], ngram=4)
    assert {id: o.words for id, o in report.queries.items()} == {"q1": "one two three four"}
    assert {id: o.words for id, o in report.documents.items()} == {"d1": "three four five six"}
    assert str(report.queries["q1"]) == "shares 'one two three four' with query 'e1' of set"
    assert report.as_dict() == {
        "ngram": 4, "compared": 1, "queries": 1, "documents": 1,
        "examples": {
            "queries": {"q1": str(report.queries["q1"])},
            "documents": {"d1": str(report.documents["d1"])},
        },
    }  # fmt: skip


def test_thirteen_words_by_default() -> None:
    words = [f"w{i}" for i in range(13)]
    held = [EvaluationText("set", "document", "e", " ".join(words))]
    report = overlaps({"twelve": " ".join(words[:12]) + " x", "all": "x " + " ".join(words)}, (), held)
    assert list(report.queries) == ["all"]


def test_a_shorter_text_is_found_where_it_is_the_whole_of_another() -> None:
    short = EvaluationText("set", "query", "e2", "Why two?")
    assert found("why two", held=short)
    assert not found("so why two", held=short)
    assert not found("one two")
    assert not found("", held=EvaluationText("set", "query", "e3", ""))


def test_equal_training_texts_are_all_found() -> None:
    report = overlaps({f"q{i}": "one two three four" for i in range(3)}, (), [HELD], ngram=4)
    assert list(report.queries) == ["q0", "q1", "q2"]


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_agrees_with_looking_at_every_run(one: list[str], other: list[str]) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        size = min(3, len(words))
        return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)} if words else set()

    held = EvaluationText("set", "query", "e", " ".join(other))
    assert found(" ".join(one), 3, held) == bool(runs(one) & runs(other))


def test_files_and_data_sets_are_read(tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("t1\ta topic\n")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "c1", "title": "a title", "text": "a text"}\n')
    (tmp_path / "sources.jsonl").write_text('{"id": "s1", "query": "a question"}\n')
    beir = tmp_path / "beir"
    beir.mkdir()
    (beir / "corpus.jsonl").write_text('{"_id": "b1", "title": "", "text": "a passage"}\n')
    (beir / "queries.jsonl").write_text('{"_id": "b2", "text": "a query"}\n')
    files = [str(tmp_path / name) for name in ("topics.tsv", "corpus.jsonl", "sources.jsonl")]
    read = [(text.kind, text.id, text.text.strip()) for text in evaluation_texts([*files, str(beir)])]
    assert read == [
        ("query", "t1", "a topic"),
        ("document", "c1", "a title a text"),
        ("query", "s1", "a question"),
        ("query", "b2", "a query"),
        ("document", "b1", "a passage"),
    ]


def test_an_ngram_needs_a_word() -> None:
    with pytest.raises(InputError, match="0 words"):
        overlaps({}, (), [], ngram=0)
