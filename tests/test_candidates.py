from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.document_records import document_of_raw
from reasonrank_pyserini.ranking.candidates import as_candidates
from reasonrank_pyserini.types import Candidate, Document


class Hit:
    """A hit as Pyserini's searchers give it: Lucene hits store text, dense hits do not."""

    def __init__(self, docid: str, score: float, raw: str | None = None) -> None:
        self.docid, self.score = docid, score
        if raw is not None:
            self.lucene_document = {"raw": raw}


class Store:
    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        return {id: Document(id, self.texts[id]) for id in ids if id in self.texts}

    def __iter__(self) -> Iterator[Document]:
        return (Document(id, text) for id, text in self.texts.items())


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Candidate(Document("a", "x"), 2.0, 7), Candidate(Document("a", "x"), 2.0, 7)),
        (Document("a", "x"), Candidate(Document("a", "x"), 0.0, 1)),
        ("x", Candidate(Document("1", "x"), 0.0, 1)),
        (("a", "x"), Candidate(Document("a", "x"), 0.0, 1)),
        (
            {"docid": 5, "score": 2, "doc": {"title": "t", "contents": "x"}},
            Candidate(Document("5", "x", "t"), 2.0, 1),
        ),
        ({"docid": "a", "doc": "x"}, Candidate(Document("a", "x"), 0.0, 1)),
        ({"_id": "a", "title": "t", "text": "x"}, Candidate(Document("a", "x", "t"), 0.0, 1)),
        (Hit("a", 2, '{"id": "a", "contents": "x"}'), Candidate(Document("a", "x"), 2.0, 1)),
        (Hit("a", 2, "plain {text"), Candidate(Document("a", "plain {text"), 2.0, 1)),
        (Hit("a", 2, "{not json"), Candidate(Document("a", "{not json"), 2.0, 1)),
        (Hit("known", 2), Candidate(Document("known", "stored"), 2.0, 1)),
    ],
)
def test_what_may_be_given(item: Any, expected: Candidate) -> None:
    assert as_candidates([item], Store({"known": "stored"})) == (expected,)


def test_the_first_of_a_docid_is_kept_in_place() -> None:
    given = [Document("b", "1"), Document("a", "2"), Document("b", "3")]
    assert [(c.id, c.document.text, c.rank) for c in as_candidates(given)] == [("b", "1", 1), ("a", "2", 2)]


@pytest.mark.parametrize("item", [3, None, ("a", 1), ["a", "b"], {"text": "x"}])
def test_anything_else_is_one_clear_line(item: object) -> None:
    with pytest.raises(InputError, match="candidate 1"):
        as_candidates([item])


def test_hits_without_text_say_what_to_give() -> None:
    with pytest.raises(InputError, match=r"1 of 2 candidates have no text, e\.g\. 'x': give documents="):
        as_candidates([Hit("x", 2.0), Hit("known", 1.0)], Store({"known": "stored"}))


class RankLLMCandidate:
    """The shape of RankLLM's own candidates."""

    def __init__(self, docid: str, doc: object) -> None:
        self.docid, self.score, self.doc = docid, 2.0, doc


def test_rankllm_objects_and_the_hubs_own_field() -> None:
    found = as_candidates(
        [
            RankLLMCandidate("a", {"contents": "one"}),
            {"id": "b", "content": "two"},
            {"docid": "c", "doc": '{"text": "three"}'},
        ]
    )
    assert [(one.id, one.document.text) for one in found] == [("a", "one"), ("b", "two"), ("c", "three")]


@pytest.mark.parametrize(
    "record", [{"docid": "d1"}, {"id": "d1", "doc": None}, {"id": "d1", "doc": {"txt": "x"}}]
)
def test_a_record_without_a_text_is_not_an_empty_text(record: dict[str, object]) -> None:
    with pytest.raises(InputError, match="1 of 1 candidates have no text"):
        as_candidates([record])


@pytest.mark.parametrize("raw", ['{"nums":[2,7]}', '{"a":' * 20_000])
def test_a_stored_text_that_only_looks_like_a_record_stays(raw: str) -> None:
    assert document_of_raw("d", raw).text == raw
