"""Inputs as other tools write them: runs out of order, NaN for nothing, XML topics, leading zeros, other formats."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.files.topics import read_topics
from reasonrank_pyserini.jobs.collection import Collection, CollectionRequest
from reasonrank_pyserini.jobs.rerank_input import from_run
from reasonrank_pyserini.jobs.run_source import read_source
from reasonrank_pyserini.ranking.candidates import as_candidates
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import ScoredDocument

NAN = float("nan")


def test_a_run_is_taken_best_score_first_and_ties_keep_their_lines(tmp_path: Path) -> None:
    run = tmp_path / "run.trec"
    run.write_text("q Q0 c 4 1 t\nq Q0 a 1 3 t\nq Q0 e 2 2 t\nq Q0 b 3 2 t\np Q0 x 1 1 t\n")
    given = read_source(run)
    assert [hit.id for hit in given.run["q"]] == ["a", "e", "b", "c"]
    assert len(given.notes) == 1
    assert "1 queries, e.g. q, are not in the order of their scores" in given.notes[0]
    as_lines = read_source(run, by_score=False)
    assert [hit.id for hit in as_lines.run["q"]] == ["c", "a", "e", "b"]
    assert "order of lines is kept" in as_lines.notes[0]
    assert read_source({"q": ["a", "b"]}).notes == ()


def test_an_id_of_the_run_may_have_lost_or_kept_leading_zeros() -> None:
    topics = [Query("1", "one"), Query("0002", "two"), Query("x", "three")]
    run = {id: [ScoredDocument("d", 1.0)] for id in ("0001", "2", "x")}
    collection = Collection(CollectionRequest(topics=topics, corpus=[Document("d", "text")]))
    work = from_run(run, collection, depth=1)
    assert [(query.id, query.text) for query in work.queries] == [
        ("0001", "one"),
        ("2", "two"),
        ("x", "three"),
    ]
    with pytest.raises(InputError, match="have no topic"):
        from_run({"3": run["x"]}, collection, depth=1)


def test_nan_is_nothing(tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(json.dumps({"id": "d1", "title": NAN, "text": "a b"}) + "\n")
    assert Corpus(corpus).get_many(["d1"])["d1"] == Document("d1", "a b")
    corpus.write_text(json.dumps({"id": "d1", "text": NAN}) + "\n")
    with pytest.raises(FileFormatError, match="'text' holds NaN"):
        Corpus(corpus).get_many(["d1"])
    (candidate,) = as_candidates([{"id": "d1", "title": NAN, "text": "a b"}])
    assert candidate.document == Document("d1", "a b")
    with pytest.raises(InputError, match="no text"):
        as_candidates([{"id": "d1", "text": NAN}])
    with pytest.raises(InputError, match="no 'docid' or 'id'"):
        as_candidates([{"id": NAN, "text": "a"}])


def frame() -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"docno": ["d1"], "text": ["a"]})


@pytest.mark.parametrize("make", [lambda: "one passage", lambda: b"x", lambda: {"d1": "text"}, frame])
def test_what_only_looks_like_candidates_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match="candidates are a"):
        as_candidates(make())


XML = {
    "number": "<topics><topic><number>101</number><query>ankle brace</query></topic></topics>",
    "content": '<topics task="t"><topic number="101">\nankle\nbrace\n</topic></topics>',
    "query": '<?xml version="1.0"?><topics><topic number="101"><query>ankle brace</query></topic></topics>',
    "title": '<topics><topic number="101"><narrative>n</narrative><title>ankle brace</title></topic></topics>',
}


@pytest.mark.parametrize("form", XML)
def test_topics_in_xml(tmp_path: Path, form: str) -> None:
    path = tmp_path / "topics.xml"
    path.write_text(XML[form])
    assert read_topics(path) == [Query("101", "ankle brace")]


def test_topics_in_xml_by_field_and_bad_ones(tmp_path: Path) -> None:
    path = tmp_path / "topics.xml"
    path.write_text(XML["title"])
    assert read_topics(path, "narrative") == [Query("101", "n")]
    with pytest.raises(FileFormatError, match="no <desc>"):
        read_topics(path, "desc")
    for text, problem in {
        "<topics><topic><query>x</query></topic></topics>": "no number",
        '<topics><topic number="1"></topic></topics>': "no text",
        '<topics><topic number="1">': "not XML",
        "<topics><other/></topics>": "no <topic>",
    }.items():
        path.write_text(text)
        with pytest.raises(FileFormatError, match=problem):
            read_topics(path)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("c.tsv", b"d1\ta passage\n", "TSV"),
        ("c.bz2", b"BZh91AY&SY", "bzip2"),
        ("c.zst", b"\x28\xb5\x2f\xfd rest", "zstd"),
        ("c.zip", b"PK\x03\x04rest", "zip"),
        ("c.parquet", b"PAR1\x15\x04rest", "Parquet"),
    ],
)
def test_a_corpus_in_another_format_names_what_is_read(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=f"{what}.*JSONL"):
        Corpus(tmp_path / name).get_many(["d1"])


def test_scores_that_cannot_be_other_than_zero_are_explained() -> None:
    run = {"1": [ScoredDocument("d01", 2.0)], "2": [ScoredDocument("d06", 1.0)]}
    notes = score({"1": {"D01": 1}, "2": {"D06": 1}}, run, ["nDCG@10"]).notes
    assert "not one document of the run is judged" in notes[0]
    assert "query 1 has d01 in the run and D01 in the judgements" in notes[0]
    assert "no judgement has a grade above 0" in score({"1": {"d01": 0}}, run, ["nDCG@10"]).notes[-1]
    assert score({"1": {"d01": 1}, "2": {"x": 1}}, run, ["nDCG@10"]).notes == ()


def in_child(reranker: Reranker, answers: Any) -> None:
    try:
        answers.put(reranker.rerank("q", ["a"]).ids)
    except Exception as error:
        answers.put(str(error))
    reranker.close()


def test_a_reranker_of_before_a_fork_says_so() -> None:
    with Reranker(OracleJudge({})) as reranker:
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=in_child, args=(reranker, answers))
        child.start()
        said = answers.get(timeout=600)
        child.join(600)
        assert "after the fork" in said
        assert child.exitcode == 0
        assert reranker.rerank("q", ["a"]).ids == ("1",)
