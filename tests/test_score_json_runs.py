"""BRIGHT's score JSON as a run: read, refused in one line, and taken by the commands that take runs."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.runs import read_run_report
from reasonrank_pyserini.files.score_json import write_score_json
from reasonrank_pyserini.files.trec import order_by_score
from reasonrank_pyserini.runfile import read_qrels, read_run, write_run
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import ScoredDocument

SCORES: dict[str, dict[str, float]] = {"q2": {"a b": 0.5, "c": 2}, "q1": {"d": -1e-3}}
HITS = {
    query: [ScoredDocument(id, float(value)) for id, value in one.items()] for query, one in SCORES.items()
}


def written(folder: Path, content: str | bytes, name: str = "scores.json") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SCORES),
        json.dumps(SCORES, indent=4),
        json.dumps(SCORES, indent=1).replace("\n", "\r\n"),
        json.dumps(SCORES, indent=1).replace("\n", "\n\n"),
        json.dumps(SCORES, separators=(",", ":")),
        "\ufeff\n  " + json.dumps(SCORES),
        gzip.compress(json.dumps(SCORES, indent=2).encode(), mtime=0),
    ],
)
@pytest.mark.parametrize("name", ["scores.json", "run.txt"])
def test_order_and_scores_stay_as_they_are(tmp_path: Path, content: str | bytes, name: str) -> None:
    path = written(tmp_path, content, name)
    assert read_run(path) == HITS
    assert list(read_run(path)) == list(SCORES)
    report = read_run_report(path)
    assert (report.lines, report.duplicates, report.notes) == (3, 0, ())


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(json.dumps(SCORES).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert read_run("-") == HITS


def test_one_long_line(tmp_path: Path) -> None:
    many = {"q": {f"document {number}": 1e6 - number for number in range(60_000)}}
    path = written(tmp_path, json.dumps(many))
    assert path.stat().st_size > 1 << 20
    assert len(read_run(path)["q"]) == 60_000
    assert len(read_run(written(tmp_path, gzip.compress(path.read_bytes()), "scores.json.gz"))["q"]) == 60_000


def test_ties_keep_the_order_of_the_file(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, json.dumps({"q": {"z": 1, "b": 2, "a": 1, "y": 2}})))
    ordered, moved = order_by_score(run)
    assert [hit.id for hit in ordered["q"]] == ["b", "y", "z", "a"]
    assert moved == ("q",)


def test_of_a_document_named_twice_the_first_counts(tmp_path: Path) -> None:
    path = written(tmp_path, '{"q": {"a": 3, "b": 2, "a": 9, "a": 1}, "r": {"a": 1}}')
    report = read_run_report(path)
    assert report.run["q"] == [ScoredDocument("a", 3.0), ScoredDocument("b", 2.0)]
    assert list(report.repeated["q"]) == [ScoredDocument("a", 9.0), ScoredDocument("a", 1.0)]
    assert (report.lines, report.duplicates) == (5, 2)
    assert report.notes == (
        f"{path}: 2 duplicate documents dropped, the first of each query kept (query q, document a)",
    )


def test_a_query_without_documents_stays(tmp_path: Path) -> None:
    assert read_run(written(tmp_path, '{"q": {}, "r": {"a": 1}}')) == {
        "q": [],
        "r": [ScoredDocument("a", 1.0)],
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", ": it has no scores; a run in JSON is one object {query id: {document id: score}}"),
        ('{"q": {}}', ": it has no scores"),
        ('{"q": {"a": "1.5"}}', ": query 'q', document 'a': the score is a string, not a finite number"),
        ('{"q": {"a": true}}', ": query 'q', document 'a': the score is a boolean, not a finite number"),
        ('{"q": {"a": null}}', ": query 'q', document 'a': the score is null"),
        ('{"q": {"a": {"b": 1}}}', ": query 'q', document 'a': the score is an object"),
        ('{"q": {"a": [1]}}', ": query 'q', document 'a': the score is a list"),
        ('{"q": {"a": NaN}}', ": query 'q', document 'a': the score is nan, not a finite number"),
        ('{"q": {"a": -Infinity}}', ": query 'q', document 'a': the score is -inf"),
        ('{"q": {"a": 1e999}}', ": query 'q', document 'a': the score is inf"),
        ('{"q": {"a": 1%s}}' % ("0" * 400), ": query 'q', document 'a': the score is too large"),
        ('{"q": {"a": 1%s}}' % ("0" * 5000), ": not usable JSON: Exceeds the limit"),
        ('{"q": ["a", "b"]}', ": query 'q' has a list, not an object"),
        ('{"q": 1}', ": query 'q' has a number, not an object"),
        ('{"q": {"a": 1}, "q": {"b": 1}}', ": query 'q' is in it twice"),
        ('{"q": {"a": 1},\n\n "r": {"a" 1}}', ":3: not JSON: Expecting ':' delimiter (column 12)"),
        ('{"q": {"a": 1}', ":1: not JSON: Expecting ',' delimiter (column 15)"),
        ('{"q": {"a": 1}}\n{"r": {"a": 1}}\n', ":2: text after the JSON object"),
        ('{"q": {"a": ' + '{"a": ' * 100_000, ": not usable JSON: maximum recursion depth"),
        ('{"q q": {"a": 1}}', ": the query id 'q q' does not fit in a run file"),
        ('{"q": {"": 1}}', ": the document id '' does not fit in a run file"),
        ('{"q": {"a\\nb": 1}}', ": the document id 'a\\nb' does not fit in a run file"),
        ('{"q": {"\\ud800": 1}}', ": the document id '\\ud800' cannot be encoded as UTF-8"),
        (b'{"q": {"\xff": 1}}', ":1: not UTF-8 (byte 0xff at position 9)"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, content: str | bytes, problem: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(FileFormatError) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}{problem}")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=4)
VALUES = st.floats(-1e30, 1e30) | st.integers(-(2**53), 2**53)


@given(
    st.dictionaries(IDS, st.dictionaries(IDS, VALUES, max_size=5), min_size=1, max_size=4),
    st.none() | st.just(3),
)
def test_every_score_file_is_read_as_it_stands(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, dict[str, float]], indent: int | None
) -> None:
    path = written(tmp_path_factory.mktemp("run"), json.dumps(scores, indent=indent))
    if not any(scores.values()):
        with pytest.raises(FileFormatError, match="no scores"):
            read_run(path)
        return
    found = read_run(path)
    assert {query: {hit.id: hit.score for hit in hits} for query, hits in found.items()} == scores
    assert [list(one) for one in scores.values()] == [[hit.id for hit in hits] for hits in found.values()]
    write_score_json(path, order_by_score(found)[0])
    again = read_run(path)
    assert {q: [hit.id for hit in hits] for q, hits in again.items()} == {
        q: [hit.id for hit in hits] for q, hits in order_by_score(found)[0].items()
    }


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.integers(0, 40))
def test_other_json_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any], cut: int
) -> None:
    text = json.dumps(value)
    path = written(tmp_path_factory.mktemp("run"), text[: len(text) - cut] or text)
    try:
        found = read_run(path)
    except InputError as error:
        message = str(error)
    else:
        message = f"{path}"
        assert {query: {hit.id: hit.score for hit in hits} for query, hits in found.items()} == value
    assert message.startswith(str(path))
    assert message.isprintable()


@given(st.lists(IDS.map('{{"{}'.format), min_size=1, unique=True))
def test_a_trec_run_may_have_query_ids_that_start_like_json(
    tmp_path_factory: pytest.TempPathFactory, queries: list[str]
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_run(path, {query: ["a", "b"] for query in queries}, "tag")
    assert list(read_run(path)) == queries


# ---- the commands that take runs

RUN = {"1": ["x y", "b", "c"], "2": ["b", "c", "x y"]}
FILES = {
    "corpus.jsonl": "".join(
        json.dumps({"id": id, "contents": f"about {id}"}) + "\n" for id in ("x y", "b", "c")
    ),
    "topics.tsv": "1\tone\n2\ttwo\n3\tthree\n",
    "qrels.txt": "1 0 c 1\n2 0 x y 1\n3 0 b 1\n",
    "bad.json": '{"1": {"b": "high"}}',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    write_run(tmp_path / "run.trec", RUN, "tag")
    write_score_json(tmp_path / "run.json", RUN)
    write_score_json(tmp_path / "run.json.gz", {**RUN, "3": []})
    return tmp_path


def test_the_same_run_in_both_formats_gives_the_same_results(folder: Path) -> None:
    for name in ("run.trec", "run.json", "run.json.gz"):
        asked = (
            "--corpus",
            "corpus.jsonl",
            "--topics",
            "topics.tsv",
            "--judge",
            "oracle",
            "--qrels",
            "qrels.txt",
        )
        done = reasonrank("rerank", "--run", name, *asked, "-o", f"out-{name}", folder=folder)
        assert done.returncode == 0, done.stderr
        fused = reasonrank(
            "retrieve", "--run", name, "run.trec", "--fuse", "rrf", "-o", f"{name}.fused", folder=folder
        )
        assert fused.returncode == 0, fused.stderr
        scored = reasonrank("evaluate", "--run", name, "--qrels", "qrels.txt", "--json", folder=folder)
        assert scored.returncode == 0, scored.stderr
        # relevant at rank 3 of query 1 and of query 2, nothing for query 3
        assert json.loads(scored.stdout)["measures"]["nDCG@10"] == pytest.approx(2 * 0.5 / 3)
    for name in ("run.json", "run.json.gz"):
        for one in ("out-{}/run.trec", "{}.fused"):
            assert (folder / one.format(name)).read_bytes() == (folder / one.format("run.trec")).read_bytes()
    assert read_run(folder / "out-run.json" / "run.trec")["1"][0].id == "c"


def test_a_bad_one_is_one_line_and_exit_2(folder: Path) -> None:
    for arguments in (
        ("evaluate", "--run", "bad.json", "--qrels", "qrels.txt"),
        ("rerank", "--run", "bad.json", "--corpus", "corpus.jsonl", "--topics", "topics.tsv", "--judge", "oracle",
         "--qrels", "qrels.txt", "-o", "out"),
        ("retrieve", "--run", "bad.json", "run.trec", "--fuse", "rrf", "-o", "fused.trec"),
    ):  # fmt: skip
        done = reasonrank(*arguments, folder=folder)
        assert done.returncode == 2
        assert (
            done.stderr.strip()
            .splitlines()[-1]
            .endswith("bad.json: query '1', document 'b': the score is a string, not a finite number")
        )


def test_the_real_scores_of_one_task(shared: Path) -> None:
    file = shared / "bright" / "rader" / "theoremqa_theorems.hybrid_BM25_Rader.json"
    if not file.is_file():
        pytest.skip("the reference data has no RaDeR scores")
    run = read_run(file)
    assert {len(hits) for hits in run.values()} == {1000}
    qrels = read_qrels(shared / "bright" / "qrels" / "theoremqa_theorems.txt")
    assert round(100 * score(qrels, run, ["nDCG@10"]).means["nDCG@10"], 2) == 43.43
