from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.files.rankllm_results import write_requests, write_results
from reasonrank_pyserini.files.requests import Request, read_requests
from reasonrank_pyserini.files.topics import read_topics
from reasonrank_pyserini.runfile import read_run
from reasonrank_pyserini.types import Candidate, Document, Query, Ranking


def lines(folder: Path, *records: object) -> Path:
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rankllm(qid: object, *candidates: dict[str, Any]) -> dict[str, Any]:
    return {"query": {"text": "why?", "qid": qid}, "candidates": list(candidates)}


def test_rankllm_layout(tmp_path: Path) -> None:
    record = rankllm(
        7,
        {"docid": "a b.txt", "score": 2.5, "doc": {"contents": "one", "title": "T"}},
        {"docid": 12, "score": "3.5", "doc": '{"id": "12", "contents": "two"}'},
        {"docid": "c", "doc": "{plain} text"},
        {"docid": "d", "score": None, "doc": {"segment": ""}},
        {"docid": "e", "score": -1, "doc": '{"no": "text"}'},
    )
    expected = Request(
        Query("7", "why?"),
        (
            Candidate(Document("a b.txt", "one", "T"), 2.5, 1),
            Candidate(Document("12", "two"), 3.5, 2),
            Candidate(Document("c", "{plain} text"), 0.0, 3),
            Candidate(Document("d", ""), 0.0, 4),
            Candidate(Document("e", '{"no": "text"}'), -1.0, 5),
        ),
    )
    path = lines(tmp_path, record)
    assert list(read_requests(path)) == [expected]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_requests(path)) == [expected]
    path.write_text(json.dumps([record, rankllm(8)], indent=1))
    assert list(read_requests(path)) == [expected, Request(Query("8", "why?"), ())]


def test_acurank_and_rankgpt_layouts(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        {
            "qid": "1",
            "q_text": "a",
            "bm25_results": [{"text": "t", "title": "", "bm25_score": 9.5, "pid": "3"}],
        },
        {"query": "b", "hits": [{"content": "t", "qid": 2, "docid": "4", "rank": 1, "score": 8}]},
    )
    assert list(read_requests(path)) == [
        Request(Query("1", "a"), (Candidate(Document("3", "t"), 9.5, 1),)),
        Request(Query("2", "b"), (Candidate(Document("4", "t"), 8.0, 1),)),
    ]


def test_first_of_a_repeated_docid_stays_and_the_rest_is_counted(tmp_path: Path) -> None:
    docs = [{"docid": id, "score": 9.0 - n, "doc": f"text {n}"} for n, id in enumerate("abaca")]
    (request,) = read_requests(lines(tmp_path, rankllm("q", *docs)))
    assert [(c.id, c.document.text, c.rank) for c in request.candidates] == [
        ("a", "text 0", 1),
        ("b", "text 1", 2),
        ("c", "text 3", 3),
    ]
    assert request.duplicates == 5 - 3


def test_a_request_without_qid_gets_its_number(tmp_path: Path) -> None:
    bare = {"query": {"text": "t"}, "candidates": []}
    found = read_requests(lines(tmp_path, rankllm("x"), bare, {"query": "t", "candidates": []}))
    assert [request.query.id for request in found] == ["x", "2", "3"]
    with pytest.raises(FileFormatError, match=r":2: repeated query id '2' \(first on line 1\)"):
        list(read_requests(lines(tmp_path, rankllm(2), bare)))


def test_requests_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = lines(tmp_path, rankllm(1), rankllm(2))
    path.write_text(path.read_text() + "broken\n")
    found = read_requests(path)
    assert [next(found).query.id, next(found).query.id] == ["1", "2"]
    with pytest.raises(FileFormatError, match=":3: not JSON"):
        next(found)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (
            {"query": {"text": "t"}},
            "no candidates: expected one of candidates, hits, bm25_results; has query",
        ),
        ({"query": {"text": "t"}, "candidates": {}}, "field 'candidates' holds an object, not a list"),
        ({"query": {"text": "t"}, "candidates": ["a"]}, "candidate 1 is a string, not an object"),
        ({"query": {"qid": 1}, "candidates": []}, "no text: expected one of text"),
        ({"candidates": []}, "no text: expected one of query"),
        (rankllm({}), "field 'qid' holds an object, not an id"),
        (rankllm(1, {"doc": "t"}), "candidate 1 has no docid"),
        (rankllm(1, {"docid": "a b", "score": 1}), "candidate 'a b': no text"),
        (rankllm(1, {"docid": "a", "doc": ["t"]}), "candidate 'a': 'doc' holds a list"),
        (rankllm(1, {"docid": "a", "doc": {"text": {}}}), "candidate 'a': field 'text' holds an object"),
        (rankllm(1, {"docid": "a", "score": "high", "doc": "t"}), "score 'high' is not a finite number"),
        (rankllm(1, {"docid": "a", "score": float("nan"), "doc": "t"}), "score 'nan' is not a finite number"),
        (rankllm(1, {"docid": "a", "score": True, "doc": "t"}), "score 'True' is not a finite number"),
        ([], "has no requests"),
    ],
)
def test_bad_requests_are_named(tmp_path: Path, record: object, problem: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        list(read_requests(lines(tmp_path, record)))
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no request file"):
        read_requests(tmp_path / "nothing.jsonl")


def test_results_go_out_in_final_order_with_falling_scores(tmp_path: Path) -> None:
    candidates = tuple(Candidate(Document(id, f"text of {id}"), 1.0, 1) for id in ("b b", "a", "c\u2028"))
    path = tmp_path / "results.jsonl"
    write_results(path, [Ranking(Query("1", "why\ud800?"), candidates), Ranking(Query("2", ""), ())])
    first, second = (json.loads(line) for line in path.read_bytes().splitlines())
    assert first == {
        "query": {"text": "why\ud800?", "qid": "1"},
        "candidates": [
            {"docid": "b b", "score": 3.0, "doc": {"contents": "text of b b"}},
            {"docid": "a", "score": 2.0, "doc": {"contents": "text of a"}},
            {"docid": "c\u2028", "score": 1.0, "doc": {"contents": "text of c\u2028"}},
        ],
    }
    assert second["candidates"] == []
    (request, _) = read_requests(path)
    assert [candidate.document for candidate in request.candidates] == [c.document for c in candidates]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("old")

    def broken() -> Iterator[Ranking]:
        yield Ranking(Query("1", "t"), ())
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_results(path, broken())
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["results.jsonl"]


TEXT = st.text(st.characters(exclude_categories=[]))
ID = st.text(st.characters(exclude_categories=[]), min_size=1).filter(str.strip)
SCORE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    found = []
    for query_id in draw(st.lists(ID, unique=True, min_size=1, max_size=4)):
        documents = [
            Document(id, draw(TEXT), draw(TEXT)) for id in draw(st.lists(ID, unique=True, max_size=4))
        ]
        candidates = (Candidate(document, draw(SCORE), rank) for rank, document in enumerate(documents, 1))
        found.append(Request(Query(query_id, draw(TEXT)), tuple(candidates)))
    return found


@given(requests())
def test_any_request_comes_back_and_the_bytes_too(
    tmp_path_factory: pytest.TempPathFactory, expected: list[Request]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write_requests(folder / "1", expected)
    assert list(read_requests(folder / "1")) == expected
    write_requests(folder / "2", read_requests(folder / "1"))
    assert (folder / "1").read_bytes() == (folder / "2").read_bytes()


@given(requests())
def test_results_of_results_are_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, given_requests: list[Request]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write_results(folder / "1", (Ranking(r.query, r.candidates) for r in given_requests))
    write_results(folder / "2", (Ranking(r.query, r.candidates) for r in read_requests(folder / "1")))
    assert (folder / "1").read_bytes() == (folder / "2").read_bytes()


def test_dl_hard(shared: Path) -> None:
    path = shared / "collections" / "rankllm-requests" / "dl-hard.jsonl"
    raw = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    found = list(read_requests(path))
    assert [request.query for request in found] == [Query(r["qid"], r["q_text"]) for r in raw]
    for request, record in zip(found, raw, strict=True):
        expected = [(r["pid"], r["text"], r["bm25_score"]) for r in record["bm25_results"]]
        assert [(c.id, c.document.text, c.score) for c in request.candidates] == expected
        assert request.duplicates == 0


def test_cacm_as_requests(shared: Path, tmp_path: Path) -> None:
    cacm = shared / "collections" / "cacm"
    run = {id: found[:20] for id, found in read_run(cacm / "run.bm25.txt.gz").items()}
    corpus = Corpus(cacm / "corpus.jsonl")
    made = []
    for query in read_topics(cacm / "topics.tsv"):
        texts = corpus.get_many(line.id for line in run[query.id])
        found = (Candidate(texts[line.id], line.score, rank) for rank, line in enumerate(run[query.id], 1))
        made.append(Request(query, tuple(found)))
    write_requests(tmp_path / "r.jsonl", made)
    assert list(read_requests(tmp_path / "r.jsonl")) == made
    assert {r.query.id: [c.id for c in r.candidates] for r in made} == {
        id: [line.id for line in found] for id, found in run.items()
    }
