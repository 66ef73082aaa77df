from __future__ import annotations

import gzip
import json
import struct
from math import nan
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.files.score_json import score_json, write_score_json
from reasonrank_pyserini.runfile import read_qrels, read_run
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import ScoredDocument


def test_scores_that_decrease_stay_as_they_are() -> None:
    run = {"q": [ScoredDocument("a b", 2.5), ScoredDocument("c", -1.0)], "empty": []}
    assert score_json(run) == {"q": {"a b": 2.5, "c": -1.0}, "empty": {}}


def test_plain_ids_count_down() -> None:
    assert score_json({"q": ["x", "y", "z"]}) == {"q": {"x": 3.0, "y": 2.0, "z": 1.0}}


def test_no_tie_can_reorder_the_list() -> None:
    run = {"q": [ScoredDocument(name, 1.0) for name in "abc"] + [ScoredDocument("d", 2.0)]}
    scores = score_json(run)["q"]
    rounded = [struct.unpack("f", struct.pack("f", value))[0] for value in scores.values()]
    assert list(scores) == ["a", "b", "c", "d"]
    assert rounded == sorted(set(rounded), reverse=True)
    assert scores["a"] == 1.0
    assert scores["d"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ([ScoredDocument("a", 2.0), ScoredDocument("a", 1.0)], "query 'q' lists a document twice"),
        (["a", "a"], "query 'q' lists a document twice"),
        ([ScoredDocument("a", nan)], "scores of query 'q'"),
    ],
)
def test_what_a_score_file_cannot_hold(
    tmp_path: Path, documents: list[ScoredDocument] | list[str], problem: str
) -> None:
    (tmp_path / "scores.json").write_text("before")
    with pytest.raises(InputError, match=problem):
        write_score_json(tmp_path / "scores.json", {"q": documents})
    assert (tmp_path / "scores.json").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file(tmp_path: Path) -> None:
    run = {"ü 1": ["d\t1", "\ud800"]}
    for name in ("scores.json", "scores.json.gz"):
        write_score_json(tmp_path / name, run)
    text = (tmp_path / "scores.json").read_text(encoding="utf-8")
    assert json.loads(text) == score_json(run) == {"ü 1": {"d\t1": 2.0, "\ud800": 1.0}}
    assert gzip.decompress((tmp_path / "scores.json.gz").read_bytes()).decode() == text


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        write_score_json(tmp_path / "none" / "scores.json", {"q": ["a"]})


def test_a_score_file_scores_as_its_run(shared: Path, tmp_path: Path) -> None:
    run = read_run(shared / "bright" / "runs" / "leetcode.reasonir_gpt4cot_top100.txt")
    qrels = read_qrels(shared / "bright" / "qrels" / "leetcode.txt")
    write_score_json(tmp_path / "scores.json", run)
    found = json.loads((tmp_path / "scores.json").read_text())
    again = {query: [ScoredDocument(*item) for item in one.items()] for query, one in found.items()}
    assert score(qrels, again, ["nDCG@10"]).means == score(qrels, run, ["nDCG@10"]).means
