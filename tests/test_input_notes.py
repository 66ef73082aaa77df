"""What is said where inputs do not belong together, so that no result is wrong without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import reasonrank

from reasonrank_pyserini.evaluation import EvaluateRequest, evaluate
from reasonrank_pyserini.scoring import score

RUN = "".join(f"{query} Q0 d{rank} {rank} {9 - rank}.5 t\n" for query in (1, 2) for rank in (1, 2, 3))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("run").write_text(RUN)
    Path("qrels").write_text("1 0 d1 1\n2 0 d3 1\n")
    Path("corpus.jsonl").write_text("".join(f'{{"id": "d{n}", "contents": "text {n}"}}\n' for n in (1, 2, 3)))
    return tmp_path


EVERY_SCORE_IS_0 = {
    "grades all 0": ("1 0 d1 0\n2 0 d3 0\n", "no judgement has a grade above 0"),
    "grades below 0": ("1 0 d1 -1\n2 0 d3 -2\n", "no judgement has a grade above 0"),
    "docids in capitals": ("1 0 D1 1\n2 0 D3 1\n", "query 1 has d1 in the run and D1 in the judgements"),
    "docids with a prefix": ("1 0 doc-d1 1\n", "d1 in the run and doc-d1 in the judgements"),
    "an invisible character": ("1 0 d1\u200b 1\n", r"d1 in the run and 'd1\u200b' in the judgements"),
    "query ids of pandas": ("1.0 0 d1 1\n", "2 queries (1, 2) of the run without judgements"),
    "query ids with zeros": ("001 0 d1 1\n", "1 query (001) with judgements not in the run"),
    "an invisible query id": ("\u200b1 0 d1 1\n", r"1 query ('\u200b1') with judgements not in the run"),
}


@pytest.mark.parametrize("name", EVERY_SCORE_IS_0)
def test_scores_that_are_all_0_are_explained(files: Path, name: str) -> None:
    qrels, note = EVERY_SCORE_IS_0[name]
    Path("other").write_text(qrels)
    done = reasonrank("evaluate", "--run", "run", "--qrels", "other", "-m", "nDCG@10", "--json")
    assert done.returncode == 0
    assert '"nDCG@10": 0.0' in done.stdout
    assert note in done.stderr


def test_normal_forms_of_an_id_are_kept_apart(files: Path) -> None:
    notes = score({"1": {"cafe\u0301": 1}}, {"1": ["caf\u00e9"]}, ["nDCG@10"]).notes
    assert r"caf\u00e9 in the run" not in notes[0]
    assert r"café in the run and 'cafe\u0301' in the judgements" in notes[0]


def test_a_measure_that_no_grade_reaches(files: Path) -> None:
    found = evaluate(EvaluateRequest(run="run", qrels="qrels", measures=("AP(rel=2)", "AP")))
    assert found.scores.means == {"AP(rel=2)": 0.0, "AP": pytest.approx((1 + 1 / 3) / 2)}
    assert found.notes == ("run: no judgement has a grade above 1: AP(rel=2) is 0",)


def test_distances_are_noted_where_a_run_is_scored(files: Path) -> None:
    Path("near").write_text("1 Q0 d1 1 0.1 t\n1 Q0 d2 2 0.2 t\n")
    done = reasonrank("evaluate", "--run", "near", "--qrels", "qrels")
    assert "the ranks of 1 query, e.g. 1, contradict the scores" in done.stderr


def test_one_query_has_no_p_value(files: Path) -> None:
    request = EvaluateRequest(run="run", qrels={"1": {"d1": 1}}, baseline={"1": ["d2", "d1"]})
    found = evaluate(request)
    assert found.comparison["nDCG@10"].p_t is None
    assert "a single query is compared: there is no p value" in found.notes


@pytest.mark.parametrize("name", ["all_trec", "official", "hit@1", "Hits@10", "F1", "nDCG@10,AP"])
def test_an_unknown_measure_leaves_stdout_empty(files: Path, name: str) -> None:
    done = reasonrank("evaluate", "--run", "run", "--qrels", "qrels", "-m", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"reasonrank: unknown measure '{name}'")


@pytest.mark.parametrize("name", ["P@0", "P@-1", "P@", "P@5.0", "nDCG@k", "R@1e3"])
def test_an_impossible_cutoff_is_named(files: Path, name: str) -> None:
    done = reasonrank("evaluate", "--run", "run", "--qrels", "qrels", "-m", name)
    assert done.returncode == 2
    assert f"known: {name.partition('@')[0]}@10 (a cutoff is a whole number" in done.stderr


def test_a_measure_that_fails_is_one_line(files: Path) -> None:
    done = reasonrank("evaluate", "--run", "run", "--qrels", "qrels", "-m", "Accuracy@1")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def rerank(*more: str) -> str:
    done = reasonrank("rerank", "--run", "run", *more)
    assert done.returncode in (0, 2), done.stderr
    return done.stderr


def test_topics_that_do_not_belong_to_the_run(files: Path) -> None:
    nano = ("--corpus", "corpus.jsonl", "--model", "nano", "--dry-run")
    Path("topics.tsv").write_text("\u200b1\ta\nq2\tb\n")
    said = rerank("--topics", "topics.tsv", *nano)
    assert r"2 of 2 queries of run have no topic, e.g. '1' (topics have '\u200b1', 'q2')" in said
    Path("topics.tsv").write_text("1\t \n2\tb\n")
    assert "1 of 2 queries have no text, e.g. 1" in rerank("--topics", "topics.tsv", *nano)


@pytest.mark.parametrize("qrels", ["9 0 d1 1\n", "1 0 D1 1\n", "1 0 d1 0\n"])
def test_an_oracle_that_knows_nothing(files: Path, qrels: str) -> None:
    oracle = ("--judge", "oracle", "-o", "out")
    Path("other").write_text(qrels)
    assert "the oracle keeps every order" in rerank("--qrels", "other", *oracle)
    assert "the oracle keeps every order" not in rerank("--qrels", "qrels", *oracle, "--overwrite")


def test_runs_of_other_queries_are_noted_when_fused(files: Path) -> None:
    Path("other").write_text("3 Q0 d1 1 1 t\n")
    done = reasonrank("retrieve", "--run", "run", "--run", "other", "--fuse", "rrf", "-o", "out.trec")
    assert "run: 1 of 3 queries are not in it, e.g. 3" in done.stderr
    assert "other: 2 of 3 queries are not in it, e.g. 1" in done.stderr


def test_a_report_whose_scores_are_all_0_says_why(files: Path) -> None:
    rerank("--judge", "oracle", "--qrels", "qrels", "-o", "out")
    Path("other").write_text("1 0 D1 1\n")
    done = reasonrank("report", "out", "--qrels", "other", "-o", "r.html")
    assert "not one document of the run is judged" in done.stderr
