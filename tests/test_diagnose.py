"""`reasonrank diagnose`: real folders of oracles and other judges, its tables and its refusals."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from report_kit import rerank as rerank_with

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.diagnosis import DiagnosisRequest, TaskDiagnosis, diagnose
from reasonrank_pyserini.jobs import rerank
from reasonrank_pyserini.jobs.rerank_request import OracleRequest, RerankRequest
from reasonrank_pyserini.jobs.trace import read_trace
from reasonrank_pyserini.ranking.model_request import SettingOverrides
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import Document, ParseStatus, Query, ScoredDocument, Verdict

QUERIES, DEPTH = 20, 40
IDS = [f"q{number}" for number in range(QUERIES)]
RUN = {id: [ScoredDocument(f"{id}/d{place}", -float(place)) for place in range(DEPTH)] for id in IDS}
QRELS = {id: {f"{id}/d{place}": 1 for place in random.Random(id).sample(range(DEPTH), 6)} for id in IDS}


def oracle(folder: Path, strategy: str = "sliding", noise: float = 0.0) -> Path:
    judge = OracleRequest(qrels=QRELS, noise=noise, settings=SettingOverrides(strategy=strategy))
    rerank(RerankRequest(output=folder, judge=judge, run=RUN))
    return folder


def one(folder: Path, **given: Any) -> TaskDiagnosis:
    (found,) = diagnose(DiagnosisRequest(folders=[folder], **given))
    return found


class Judge:
    """Orders the ids of a window by `key`, given the id and its place in the window."""

    def __init__(self, key: Any, status: ParseStatus = ParseStatus.CLEAN) -> None:
        self.key, self.status = key, status

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        order = sorted(range(len(documents)), key=lambda at: self.key(documents[at].id, at))
        return Verdict(tuple(order), self.status)


def made(folder: Path, judge: Any) -> Path:
    run = {id: [hit.id for hit in hits] for id, hits in RUN.items()}
    return rerank_with(folder, run, queries={}, judge=judge)


@pytest.mark.parametrize("strategy", ["sliding", "groups", "pooled"])
def test_a_perfect_oracle_agrees_with_itself_and_is_right(tmp_path: Path, strategy: str) -> None:
    found = one(oracle(tmp_path / "out", strategy), qrels=QRELS)
    assert (found.queries, found.judged_queries, found.windows) == (QUERIES, QUERIES, found.used)
    assert found.agreement.same.mean == 1.0
    assert found.agreement.same.count > 100
    assert found.calibration is not None
    assert (found.calibration.right.mean, found.calibration.first_look.mean) == (1.0, 1.0)
    assert found.calibration.scores is not None
    assert (found.calibration.scores.auc.mean, found.calibration.scores.error.mean) == (1.0, 0.0)
    # a relevant passage and any other one of each query, judged or not
    assert found.calibration.scores.auc.count == QUERIES * 6 * (DEPTH - 6)
    sliding = any("were shown again in the order" in note for note in found.notes)
    assert sliding == (strategy == "sliding")


def test_noise_makes_it_wrong_and_no_place_matters(tmp_path: Path) -> None:
    found = one(oracle(tmp_path / "out", noise=1.0), qrels=QRELS)
    assert found.agreement.same.mean == 1.0, "the oracle misjudges a document the same way in every window"
    right = found.calibration
    assert right is not None
    assert right.first_look.low is not None
    assert right.first_look.high is not None
    # one grade apart, each with an error of standard deviation 1: Phi(1 / sqrt 2)
    assert right.first_look.low < 0.7602 < right.first_look.high < 1
    assert found.position.kept.low is not None
    assert found.position.kept.high is not None
    assert found.position.kept.low < 0.5 < found.position.kept.high
    gaps = [band.figure.mean for band in right.gaps]
    assert gaps[0] is not None
    assert gaps[-1] is not None
    assert gaps[0] < gaps[-1]


def test_a_judge_that_keeps_the_order_shown(tmp_path: Path) -> None:
    found = one(made(tmp_path / "out", Judge(lambda _, at: at)), qrels=QRELS)
    position = found.position
    assert (position.kept.mean, position.tau, position.unchanged.mean, position.reversed.mean) == (1, 1, 1, 0)
    assert all(row.given.mean == row.first for row in position.places)
    assert found.calibration is not None
    assert (found.calibration.shown_above.mean, found.calibration.shown_below.mean) == (1.0, 0.0)


def test_a_judge_of_one_opinion_has_no_position_bias(tmp_path: Path) -> None:
    found = one(made(tmp_path / "out", Judge(lambda id, _: random.Random(id).random())))
    assert found.agreement.same.mean == 1.0
    assert found.position.tau == pytest.approx(0.0, abs=0.1)
    assert found.calibration is None
    assert any("no judgements" in note for note in found.notes)


def test_windows_that_were_not_read_whole_are_left_out(tmp_path: Path) -> None:
    found = one(made(tmp_path / "out", Judge(lambda _, at: at, ParseStatus.REPAIRED)), qrels=QRELS)
    assert (found.used, found.statuses) == (0, {"REPAIRED": found.windows})
    assert (found.agreement.same.count, found.position.kept.count) == (0, 0)
    assert any(f"{found.windows} of {found.windows} windows are left out" in note for note in found.notes)


def test_a_strategy_that_shows_nothing_twice(tmp_path: Path) -> None:
    for strategy in ("single", "pointwise"):
        found = one(oracle(tmp_path / strategy, strategy), qrels=QRELS)
        assert found.agreement.same.count == 0
        assert any("no pair of passages was judged twice" in note for note in found.notes)
    assert found.calibration is not None
    assert (found.calibration.right.count, found.position.kept.count) == (0, 0)
    assert found.calibration.scores is not None
    assert found.calibration.scores.auc.mean == 1.0


def test_a_judge_that_names_only_the_best(tmp_path: Path) -> None:
    made(tmp_path / "out", Judge(lambda _, at: at))
    configuration = tmp_path / "out" / "manifest.json"
    manifest = json.loads(configuration.read_text())
    every = one(tmp_path / "out").position.kept.count
    for settings, named in (({"judge": {"reading": "best-label"}}, 1), ({"answer_k": 3}, 3)):
        manifest["configuration"]["settings"] = settings
        configuration.write_text(json.dumps(manifest))
        found = one(tmp_path / "out")
        # of n passages, the k best are ordered before all that come after them
        pairs = sum(n - 1 - k for n in (20, 10, 10) for k in range(named))
        assert found.position.kept.count == QUERIES * pairs < every
        assert any("names the best" in note for note in found.notes)


def test_the_trace_has_scores_where_a_judge_has_them(tmp_path: Path) -> None:
    class Scoring:
        async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
            return Verdict(
                tuple(range(len(documents))), scores=(1.5, float("nan"), *(0.0,) * (len(documents) - 2))
            )

    scored = next(iter(read_trace(made(tmp_path / "scoring", Scoring()))))
    assert scored.scores == (1.5, None, *(0.0,) * 18)
    plain = made(tmp_path / "plain", Judge(lambda _, at: at))
    assert next(iter(read_trace(plain))).scores is None
    assert "scores" not in (plain / "trace.jsonl").read_text()


# ---- the command


def write_qrels(path: Path, qrels: Mapping[str, Mapping[str, int]]) -> Path:
    path.write_text("".join(f"{q} 0 {d} {g}\n" for q, found in qrels.items() for d, g in found.items()))
    return path


def test_tables_of_several_tasks(tmp_path: Path) -> None:
    for name, noise in (("exact", 0.0), ("noisy", 1.0)):
        oracle(tmp_path / "all" / name, noise=noise)
    qrels = write_qrels(tmp_path / "qrels", QRELS)
    done = reasonrank("diagnose", tmp_path / "all", "--qrels", qrels)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith(("exact: ", "noisy: "))] == [
        "exact: oracle", "noisy: oracle with noise 1",
    ]  # fmt: skip
    table = [line.split() for line in lines[-4:]]
    assert table[0][:2] == ["task", "queries"]
    assert table[1][:3] == ["exact", str(QUERIES), "1.000"]
    assert table[3][:5] == ["mean", "of", "the", "tasks", str(2 * QUERIES)]
    assert "--strategy groups" in done.stdout


def test_json_has_every_figure_with_its_count(tmp_path: Path) -> None:
    oracle(tmp_path / "out", "groups")
    qrels = write_qrels(tmp_path / "qrels", QRELS)
    done = reasonrank("diagnose", tmp_path / "out", "--qrels", qrels, "--json")
    (task,) = json.loads(done.stdout)["tasks"]
    assert (task["name"], task["queries"], task["windows"]) == ("out", QUERIES, QUERIES * 4)
    assert set(task["agreement"]["same"]) == {"mean", "low", "high", "count", "queries"}
    assert task["position"]["tau"] == pytest.approx(2 * task["position"]["kept"]["mean"] - 1)
    assert task["calibration"]["right"]["mean"] == 1.0
    found = one(tmp_path / "out", qrels=qrels)
    assert task["calibration"]["right"]["count"] == found.calibration.right.count  # type: ignore[union-attr]


def test_few_queries_are_marked(tmp_path: Path) -> None:
    run = {id: [hit.id for hit in RUN[id]] for id in IDS[:3]}
    rerank_with(tmp_path / "out", run, queries={}, judge=OracleJudge(QRELS))
    done = reasonrank("diagnose", tmp_path / "out")
    assert "1.000*" in done.stdout
    assert "fewer than 10 queries" in done.stdout


def test_a_reranking_that_is_not_finished(tmp_path: Path) -> None:
    out = oracle(tmp_path / "out")
    text = (out / "trace.jsonl").read_text()
    for name in ("trace.jsonl", "manifest.json", "run.trec"):
        (out / name).unlink()
    (out / "trace.jsonl.part").write_text(text[: len(text) // 2])
    done = reasonrank("diagnose", out)
    assert done.returncode == 0
    assert "not finished" in done.stdout


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    line = {"query_id": "q\x1b[2J", "window": ["a", "b"], "order": ["b", "a"], "status": "\x1b[31m"}
    (tmp_path / "out" / "trace.jsonl").write_text(json.dumps(line) + "\n")
    done = reasonrank("diagnose", tmp_path / "out")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Missing argument 'DIR...'"),
        (["nowhere"], "there is no folder nowhere: give an output folder of `reasonrank rerank`"),
        (["nothing"], "nothing holds no trace.jsonl, nor does a folder in it"),
        (["empty"], "empty holds an empty trace: nothing has been reranked yet"),
        (["broken"], "broken/trace.jsonl:1: not JSON"),
        (["scores"], "scores/trace.jsonl:1: 'scores' is not a list with a value for each docid of 'window'"),
        (["out", "--qrels", "other"], "--qrels other: none of the 20 reranked queries is judged there"),
        (["out", "--qrels", "qrels", "--dataset", "nano/test"], "both give judgements"),
        (["out", "--qrels", "qrels", "--qrels-kind", "fixed"], "use it with --dataset"),
        (["out", "--qrels-kind", "fixed"], "use it with --dataset"),
        (["out", "--qrels", "missing"], "missing"),
        (["out", "--dataset", "nano/tset"], "nano/tset"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], line: str) -> None:
    oracle(tmp_path / "out")
    write_qrels(tmp_path / "qrels", QRELS)
    write_qrels(tmp_path / "other", {"q77": {"a": 1}})
    for name, text in (
        ("empty", ""), ("broken", "{\n"),
        ("scores", '{"query_id": "q", "window": ["a"], "order": ["a"], "status": "CLEAN", "scores": []}\n'),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "trace.jsonl").write_text(text)
    (tmp_path / "nothing").mkdir()
    done = reasonrank("diagnose", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_library_names_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`qrels`: none of the 20 reranked queries"):
        one(oracle(tmp_path / "out"), qrels={"q77": {"a": 1}})
