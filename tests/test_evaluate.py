from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.datasets import load_dataset
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation import EvaluateRequest, evaluate
from reasonrank_pyserini.evaluation.statistics import Interval
from reasonrank_pyserini.types import ScoredDocument


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("qrels").write_text("q1 0 a 1\nq2 0 b 1\n")
    Path("run").write_text("q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\nq2 Q0 x 1 2 t\nq2 Q0 b 2 1 t\n")
    Path("base").write_text("q1 Q0 x 1 2 t\nq1 Q0 a 2 1 t\n")
    return tmp_path


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--run", "run", "--qrels", "qrels", "-m", "RR@10", "nDCG@1") == 0
    out, err = capsys.readouterr()
    assert out == (
        "run    run\nqrels  qrels, 2 queries\n\n"
        "measure    mean    95% interval\n"
        "RR@10    0.7500  0.5000..1.0000\n"
        "nDCG@1   0.5000  0.0000..1.0000\n"
    )
    assert err == (
        "note: run: 1 duplicate document dropped, the first of each query kept (line 2: query q1, document a)\n"
    )


def test_one_query_has_no_interval(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one").write_text("q1 0 a 1\n")
    assert command("--run", "base", "--qrels", "one", "-m", "RR@10") == 0
    assert capsys.readouterr().out.endswith("measure    mean  95% interval\nRR@10    0.5000             -\n")
    assert command("--run", "base", "--qrels", "one", "-m", "RR@10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["intervals"] == {"RR@10": None}


def test_repeated_documents_whose_last_line_counts_elsewhere(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("twice").write_text("q1 Q0 a 1 3 t\nq1 Q0 b c 2 2 t\nq1 Q0 a 3 1 t\nq2 Q0 b 1 1 t\n")
    assert command("--run", "twice", "--qrels", "qrels", "-m", "RR@10", "P@1", "R@2") == 0
    out, err = capsys.readouterr()
    assert "RR@10    1.0000" in out
    assert err.splitlines()[1:] == [
        "note: twice: with the last of a repeated document's lines, as pytrec_eval: "
        "RR@10 0.7500, not 1.0000; P@1 0.5000, not 1.0000"
    ]


@pytest.mark.parametrize(("task", "duplicates"), [("MedQA-Diag", 79), ("Bioinformatics", 18)])
def test_the_repeated_documents_of_r2med(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, duplicates: int
) -> None:
    path = shared / "r2med" / "runs" / f"{task}.e5-mistral-7b-instruct_top100.txt"
    lines = Counter(tuple(line.split()[:3]) for line in path.read_text().splitlines())
    twice = [(query, name) for (query, _, name), count in lines.items() if count > 1]
    assert sum(lines.values()) - len(lines) == duplicates
    (tmp_path / "qrels").write_text("".join(f"{query} 0 {name} 1\n" for query, name in twice))
    files = ("--run", str(path), "--qrels", str(tmp_path / "qrels"))
    assert command(*files, "-m", "nDCG@10", "AP", "--json") == 0
    out, err = capsys.readouterr()
    # all stand side by side in the first ten ranks, so that only deeper measures change
    (note,) = [line for line in err.splitlines() if "pytrec_eval" in line]
    assert f", not {json.loads(out)['measures']['AP']:.4f}" in note
    assert "nDCG@10" not in note


def test_a_pipe_is_read_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    text = "q1 Q0 a 1 3 t\nq1 Q0 b 2 2 t\nq1 Q0 a 3 1 t\n"
    writer = Thread(target=lambda: Path("pipe").write_text(text))
    writer.start()
    assert command("--run", "pipe", "--qrels", "qrels", "-m", "RR@10") == 0
    writer.join()
    assert "as pytrec_eval: RR@10 0.2500, not 0.5000" in capsys.readouterr().err


def test_runs_without_repeated_documents_get_no_such_note(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--run", "base", "--qrels", "qrels", "-m", "RR@10") == 0
    assert "pytrec_eval" not in capsys.readouterr().err


def test_the_default_measures(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--run", "run", "--qrels", "qrels", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)["measures"]) == ["nDCG@10", "AP", "R@100", "RR@10"]


def test_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--run", "run", "--qrels", "qrels", "-m", "RR@10", "--per-query", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == "run"
    assert found["qrels"] == "qrels"
    assert found["queries"] == 2
    assert found["measures"] == {"RR@10": (1 + 1 / 2) / 2}
    assert found["per_query"] == {"q1": {"RR@10": 1.0}, "q2": {"RR@10": 1 / 2}}
    assert found["intervals"] == {"RR@10": [1 / 2, 1.0]}


def test_json_without_queries(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--run", "run", "--qrels", "qrels", "--json") == 0
    assert "per_query" not in json.loads(capsys.readouterr().out)


def test_a_collection(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("beir/qrels").mkdir(parents=True)
    Path("beir/corpus.jsonl").write_text('{"_id": "a", "text": "one"}\n{"_id": "b", "text": "two"}\n')
    Path("beir/queries.jsonl").write_text('{"_id": "q1", "text": "1"}\n{"_id": "q2", "text": "2"}\n')
    Path("beir/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\nq2\tb\t1\n")
    assert command("--run", "run", "--dataset", "./beir", "-m", "RR@10", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["qrels"], found["measures"]) == ("./beir", {"RR@10": (1 + 1 / 2) / 2})


def test_every_query(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--run", "run", "--qrels", "qrels", "-m", "RR@10", "--per-query") == 0
    assert "query   RR@10\nq1     1.0000\nq2     0.5000\n" in capsys.readouterr().out


def test_against_a_baseline(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--run", "run", "--qrels", "qrels", "--baseline", "base", "-m", "RR@10")
    assert command(*arguments, "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["baseline"]["run"] == "base"
    assert found["baseline"]["measures"] == {"RR@10": (1 / 2 + 0) / 2}
    compared = found["comparison"]["RR@10"]
    assert compared["difference"] == 1 / 2
    assert [compared[name] for name in ("wins", "ties", "losses")] == [2, 0, 0]
    assert "base: 1 query (q2) with judgements not in the run, counted as 0" in err
    assert command(*arguments) == 0
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
    assert command(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err.splitlines()[-1]
    assert "Traceback" not in err


def test_the_library_takes_files(files: Path) -> None:
    found = evaluate(EvaluateRequest(run=Path("run"), qrels="qrels", measures=["RR@10"], baseline="base"))
    assert found.scores.means == {"RR@10": (1 + 1 / 2) / 2}
    assert found.intervals == {"RR@10": Interval((1 + 1 / 2) / 2, 1 / 2, 1.0)}
    assert found.baseline is not None
    assert found.baseline.means == {"RR@10": (1 / 2 + 0) / 2}
    assert found.comparison["RR@10"].wins == 2
    assert [note.partition(":")[0] for note in found.notes] == ["run", "base"]


def test_the_library_takes_mappings() -> None:
    run = {"q1": [ScoredDocument("x", 1.0), ScoredDocument("a", 2.0)], "q2": [ScoredDocument("b", 1.0)]}
    qrels, baseline = {"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": ["x", "a"]}
    found = evaluate(EvaluateRequest(run=run, qrels=qrels, measures=["RR@10"], baseline=baseline))
    assert found.scores.per_query == {"q1": {"RR@10": 1.0}, "q2": {"RR@10": 1.0}}
    assert found.comparison["RR@10"].difference == 1.0 - (1 / 2 + 0) / 2
    assert found.notes == (
        "baseline: 1 query (q2) with judgements not in the run, counted as 0 (`run_queries` leaves them out)",
    )
    alone = evaluate(EvaluateRequest(run=run, qrels=qrels))
    assert (list(alone.scores.means), alone.baseline, alone.comparison) == (
        ["nDCG@10", "AP", "R@100", "RR@10"],
        None,
        {},
    )


def test_the_library_takes_data_sets(files: Path) -> None:
    run = {id: [docid] for id, docid in (("test-0000", "x"), ("test-0001", "y"))}
    by_name = evaluate(EvaluateRequest(run=run, dataset="nano/test", measures=["RR@10"]))
    assert by_name == evaluate(
        EvaluateRequest(run=run, dataset=load_dataset("nano/test"), measures=["RR@10"])
    )
    assert by_name.scores.means == {"RR@10": 0.0}
    assert len(by_name.scores.per_query) > 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "either `dataset` ID or `qrels` FILE"),
        ({"qrels": "qrels", "dataset": "nano/test"}, "either `dataset` ID or `qrels` FILE"),
        ({"qrels": "qrels", "qrels_kind": "fixed"}, "use it with `dataset`"),
        ({"qrels": "qrels", "seed": -1}, "`seed` must be 0 or more, not -1"),
        ({"qrels": {}}, "no judgements"),
    ],
)
def test_the_library_names_settings_not_options(files: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as raised:
        evaluate(EvaluateRequest(run="run", **changes))
    assert "--" not in str(raised.value)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    assert "reasonrank evaluate --run out/run.trec" in capsys.readouterr().out


def test_cacm(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared / "collections" / "cacm"
    files = ("--run", str(folder / "run.bm25.txt.gz"), "--qrels", str(folder / "qrels.txt"))
    assert command(*files, "-m", "nDCG@10", "AP", "P@30", "--json") == 0
    found = json.loads(capsys.readouterr().out)["measures"]
    assert {name: f"{value:.4f}" for name, value in found.items()} == {
        "nDCG@10": "0.4543",
        "AP": "0.3123",
        "P@30": "0.1942",
    }


def test_only_the_queries_of_the_runs_count_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n2 Q0 a 1 2 t\n")
    (tmp_path / "base").write_text("2 Q0 b 1 2 t\n3 Q0 a 1 2 t\n")
    (tmp_path / "qrels").write_text("1 0 a 1\n2 0 a 1\n3 0 a 1\n")
    qrels = str(tmp_path / "qrels")
    one = evaluate(EvaluateRequest(run=tmp_path / "run", qrels=qrels, measures=["P@1"], run_queries=True))
    assert one.scores.means == {"P@1": (1 + 1) / 2}
    assert one.notes == ("1 of 3 judged queries are left out, since not every run has them",)
    both = evaluate(
        EvaluateRequest(
            run=tmp_path / "run", baseline=tmp_path / "base", qrels=qrels, measures=["P@1"], run_queries=True
        )
    )
    assert both.baseline is not None
    assert (both.scores.means, both.baseline.means) == ({"P@1": 1.0}, {"P@1": 0.0})
    with pytest.raises(InputError, match="no judged query is in"):
        evaluate(EvaluateRequest(run={"9": ["a"]}, qrels=qrels, run_queries=True))
    with pytest.raises(SystemExit):
        main(["evaluate", "--run", str(tmp_path / "run"), "--qrels", qrels])
    assert "counted as 0 (--run-queries leaves them out)" in capsys.readouterr().err
