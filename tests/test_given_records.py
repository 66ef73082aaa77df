"""What Python code hands over: candidates, hits, queries, documents, runs, judgements; read as meant, or refused."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.datasets.memory_documents import MemoryDocuments
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation import EvaluateRequest, evaluate
from reasonrank_pyserini.files.given_records import as_query
from reasonrank_pyserini.jobs.run_source import read_source
from reasonrank_pyserini.ranking.candidates import as_candidates, as_hits
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import Candidate, ScoredDocument

NAN = float("nan")
numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")
A, B = Document("1", "a"), Document("2", "b")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: (text for text in ("a", "b")), [A, B]),
        (lambda: ("a", "b"), [A, B]),
        (lambda: numpy.array(["a", "b"]), [A, B]),
        (lambda: pandas.Series(["a", "b"]), [A, B]),
        (lambda: {"1": "a", "2": "b"}.items(), [A, B]),
        (lambda: [(1, "a"), (numpy.int64(2), "b")], [A, B]),
        (lambda: [Document(1, "a"), Document(numpy.int64(2), "b")], [A, B]),  # type: ignore[arg-type]
        (lambda: [Document("1", "a", None), Document("2", "b", NAN)], [A, B]),  # type: ignore[arg-type]
        (lambda: pandas.DataFrame({"docno": ["1"], "text": ["a"]}).to_dict("records"), [A]),
        (lambda: [{"id": 1, "text": numpy.str_("a"), "title": None, "score": None}], [A]),
        (lambda: [{"doc_id": "1", "title": NAN, "text": NAN, "contents": "a"}], [A]),
    ],
)
def test_candidates_that_are_read(make: Callable[[], Any], expected: list[Document]) -> None:
    found = [candidate.document for candidate in as_candidates(make())]
    assert found == expected
    assert {type(part) for one in found for part in (one.id, one.text, one.title)} == {str}


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (None, "candidates are a NoneType"),
        (5, "candidates are a int"),
        (A, "candidates are a Document"),
        (Path("x"), "candidates are a PosixPath"),
        ({"a", "b"}, "a set: it has no order"),
        (frozenset("ab"), "a frozenset: it has no order"),
        (StringIO("a\nb\n"), "candidates are a StringIO"),
        (bytearray(b"ab"), "candidates are a bytearray"),
        (["a", None], "candidate 2 is a NoneType"),
        (["a", NAN], "candidate 2 is a float"),
        ([b"a"], "candidate 1 is a bytes"),
        ([("1", None)], "candidate 1 is a tuple"),
        ([("1", 3.5)], "candidate 1 is a tuple"),
        ([Document("1", None)], "candidate 1 has None as its text"),  # type: ignore[arg-type]
        ([Document("1", NAN)], "candidate 1 has nan as its text"),  # type: ignore[arg-type]
        ([Document("1", b"a")], "candidate 1 has a bytes as its text: decode it"),  # type: ignore[arg-type]
        ([Candidate(Document("1", None))], "candidate 1 has None as its text"),  # type: ignore[arg-type]
        ([Document("", "a")], "candidate 1 has an empty id"),
        ([Document(None, "a")], "candidate 1 has None as its id"),  # type: ignore[arg-type]
        ([{"id": 1, "text": ["a"]}], "candidate 1 has a list as its text"),
        ([{"id": 1, "text": {"a": 1}}], "candidate 1 has a dict as its text"),
        ([{"id": True, "text": "a"}], "candidate 1 has True as its id"),
        ([{"id": 1, "text": "a", "score": "high"}], "the score 'high', which is not a finite number"),
        ([{"id": 1, "text": "a", "score": NAN}], "the score nan, which is not a finite number"),
        ([{"id": 1, "doc": ["a"]}], "candidate 1 has a list as its 'doc'"),
    ],
)
def test_candidates_that_are_refused(items: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        as_candidates(items)


def test_hits() -> None:
    given = [("1", "2.5"), (numpy.int64(2), numpy.float32(1.5)), ScoredDocument(3, 1)]  # type: ignore[arg-type]
    expected = [ScoredDocument("1", 2.5), ScoredDocument("2", 1.5), ScoredDocument("3", 1.0)]
    assert as_hits(given) == expected
    assert as_hits(numpy.array(["b", "a"])) == [ScoredDocument("b", 2.0), ScoredDocument("a", 1.0)]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (None, "hits are a NoneType"),
        ({"d": 1.0}, "hits are a dict"),
        ([("d", NAN)], "'d' has the score nan"),
        ([("d", float("inf"))], "'d' has the score inf"),
        ([("d", "high")], "'d' has the score 'high'"),
        ([(2.0, "d")], "hit 2.0 has the score 'd'"),
        ([("d", None)], "hit 'd' has no score"),
        ([ScoredDocument("d", NAN)], "'d' has the score nan"),
        ([(None, 1.0)], "a hit has None as its id"),
        ([1, 2], "a hit is a int"),
    ],
)
def test_hits_that_are_refused(items: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        as_hits(items)


@pytest.mark.parametrize("query", [None, NAN, 5, b"q", ["q"], ("1", "q"), {"id": "1", "text": "q"}])
def test_a_query_that_is_none(query: Any) -> None:
    with Reranker(OracleJudge({})) as reranker, pytest.raises(InputError, match="the query is"):
        reranker.rerank(query, ["a"])


def test_queries_become_plain() -> None:
    assert as_query("q") == Query("0", "q")
    assert as_query(Query(numpy.int64(7), numpy.str_("q"))) == Query("7", "q")  # type: ignore[arg-type]
    for query, says in (
        (Query("1", None), "query '1' has None as its text"),  # type: ignore[arg-type]
        (Query("1", NAN), "query '1' has nan as its text"),  # type: ignore[arg-type]
        (Query("", "q"), "empty id"),
    ):
        with pytest.raises(InputError, match=says):
            as_query(query)


def test_documents_in_memory_are_plain_too() -> None:
    documents = MemoryDocuments([Document(1, "a"), B])  # type: ignore[arg-type]
    assert documents.get_many(["1", "2"]) == {"1": A, "2": B}
    with pytest.raises(InputError, match="document 2 has None as its text"):
        MemoryDocuments([A, Document("2", None)])  # type: ignore[arg-type]


QRELS = {"1": {"d1": 1}}


@pytest.mark.parametrize(
    ("qrels", "run", "says"),
    [
        (QRELS, {"1": {"d1": 2.0}}, "query '1' has a dict: give a list"),
        (QRELS, {"1": "d1"}, "query '1' has a str: give a list"),
        (QRELS, {"1": {"d1", "d2"}}, "query '1' has a set: give a list"),
        (QRELS, {"1": [ScoredDocument("d1", NAN)]}, "'d1' \\(NaN\\)"),
        ({"1": {"d1": 0.5}}, {"1": ["d1"]}, "the grade 0.5 of query '1', document 'd1' is not an int"),
        (
            {"1": {"d1": 2**32}},
            {"1": ["d1"]},
            "the grade 4294967296 of query '1', document 'd1' is too large",
        ),
    ],
)
def test_a_run_and_judgements_that_are_refused(qrels: Any, run: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        score(qrels, run, ["nDCG@10"])


def test_a_run_that_is_none() -> None:
    frame = pandas.DataFrame({"qid": ["1"], "docno": ["d1"], "score": [1.0]})
    with pytest.raises(InputError, match="the run is a DataFrame: give a file, or hits by query id"):
        read_source(frame)
    with pytest.raises(InputError, match="the run is a DataFrame: give a file, or hits by query id"):
        evaluate(EvaluateRequest(run=frame, qrels=QRELS))
