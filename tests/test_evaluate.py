from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonrank_pyserini.cli import main


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("qrels").write_text("q1 0 a 1\nq2 0 b 1\n")
    Path("run").write_text("q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\nq2 Q0 x 1 2 t\nq2 Q0 b 2 1 t\n")
    Path("base").write_text("q1 Q0 x 1 2 t\nq1 Q0 a 2 1 t\n")
    return tmp_path


def evaluate(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--run", "run", "--qrels", "qrels", "-m", "RR@10", "nDCG@1") == 0
    out, err = capsys.readouterr()
    assert out == "run    run\nqrels  qrels, 2 queries\n\nmeasure    mean\nRR@10    0.7500\nnDCG@1   0.5000\n"
    assert err == (
        "note: run: 1 duplicate document dropped, the first of each query kept (line 2: query q1, document a)\n"
    )


def test_the_default_measures(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--run", "run", "--qrels", "qrels", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["measures"]) == ["nDCG@10", "AP", "R@100", "RR@10"]


def test_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--run", "run", "--qrels", "qrels", "-m", "RR@10", "--per-query", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == "run"
    assert found["qrels"] == "qrels"
    assert found["queries"] == 2
    assert found["measures"] == {"RR@10": (1 + 1 / 2) / 2}
    assert found["per_query"] == {"q1": {"RR@10": 1.0}, "q2": {"RR@10": 1 / 2}}


def test_json_without_queries(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--run", "run", "--qrels", "qrels", "--json") == 0
    assert "per_query" not in json.loads(capsys.readouterr().out)


def test_a_collection(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("beir/qrels").mkdir(parents=True)
    Path("beir/corpus.jsonl").write_text('{"_id": "a", "text": "one"}\n{"_id": "b", "text": "two"}\n')
    Path("beir/queries.jsonl").write_text('{"_id": "q1", "text": "1"}\n{"_id": "q2", "text": "2"}\n')
    Path("beir/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\nq2\tb\t1\n")
    assert evaluate("--run", "run", "--dataset", "./beir", "-m", "RR@10", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["qrels"], found["measures"]) == ("./beir", {"RR@10": (1 + 1 / 2) / 2})


def test_every_query(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--run", "run", "--qrels", "qrels", "-m", "RR@10", "--per-query") == 0
    assert "query   RR@10\nq1     1.0000\nq2     0.5000\n" in capsys.readouterr().out


def test_against_a_baseline(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--run", "run", "--qrels", "qrels", "--baseline", "base", "-m", "RR@10")
    assert evaluate(*arguments, "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["baseline"]["run"] == "base"
    assert found["baseline"]["measures"] == {"RR@10": (1 / 2 + 0) / 2}
    compared = found["comparison"]["RR@10"]
    assert compared["difference"] == 1 / 2
    assert [compared[name] for name in ("wins", "ties", "losses")] == [2, 0, 0]
    assert "base: 1 query (q2) with judgements not in the run, counted as 0" in err
    assert evaluate(*arguments) == 0
    assert "+0.5000  +0.5000..+0.5000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--run", "run"], "either --dataset ID or --qrels FILE"),
        (["--run", "run", "--qrels", "qrels", "--dataset", "x"], "either --dataset ID or --qrels FILE"),
        (["--qrels", "qrels"], "'--run'"),
        (["--run", "run", "--qrels", "qrels", "--qrels-kind", "fixed"], "use it with --dataset"),
        (["--run", "run", "--qrels", "qrels", "-m", "foo"], "unknown measure 'foo'"),
        (["--run", "run", "--qrels", "qrels", "--seed", "-1"], "--seed"),
        (["--run", "nowhere", "--qrels", "qrels"], "there is no file nowhere"),
        (["--run", "qrels", "--qrels", "qrels"], "qrels:1: 4 columns where a run has 6"),
        (["--run", "run", "--qrels", "run"], "run:1: the grade 't' is not a whole number"),
    ],
)
def test_bad_input_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert evaluate(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err.splitlines()[-1]
    assert "Traceback" not in err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--help") == 0
    assert "reasonrank evaluate --run out/run.trec" in capsys.readouterr().out


def test_cacm(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared / "collections" / "cacm"
    files = ("--run", str(folder / "run.bm25.txt.gz"), "--qrels", str(folder / "qrels.txt"))
    assert evaluate(*files, "-m", "nDCG@10", "AP", "P@30", "--json") == 0
    found = json.loads(capsys.readouterr().out)["measures"]
    assert {name: f"{value:.4f}" for name, value in found.items()} == {
        "nDCG@10": "0.4543",
        "AP": "0.3123",
        "P@30": "0.1942",
    }
