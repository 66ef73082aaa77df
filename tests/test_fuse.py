"""`reasonrank fuse`: runs as one, with given weights, with cross-validated ones, and what is said of odd runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from commands import reasonrank

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.evaluation import FitWeightsRequest, fit_weights
from reasonrank_pyserini.evaluation.fusion_weights import GRID
from reasonrank_pyserini.files.runs import read_run_report
from reasonrank_pyserini.jobs import FuseRequest, RetrieveRequest, fuse_runs, retrieve
from reasonrank_pyserini.jobs.retrieval import FusionOptions
from reasonrank_pyserini.runfile import read_run
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import ScoredDocument

Run = Mapping[str, list[ScoredDocument]]


def run(**queries: Sequence[tuple[str, float]]) -> Run:
    return {query: [ScoredDocument(*hit) for hit in hits] for query, hits in queries.items()}


ONE = run(q=[("a", 4.0), ("b", 3.0), ("c", 0.0)])
OTHER = run(q=[("c", 10.0), ("d", 5.0), ("a", 0.0)])


def ids(found: Mapping[str, Sequence[ScoredDocument]], query: str = "q") -> list[str]:
    return [hit.id for hit in found[query]]


def fused(method: str, weights: tuple[float, ...] | None = None, k: int | None = None) -> dict[str, float]:
    result = fuse_runs(FuseRequest(runs=(ONE, OTHER), method=method, weights=weights, k=k))
    return {hit.id: hit.score for hit in result.run["q"]}


def test_by_ranks() -> None:
    expected = {"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "b": 1 / 62, "d": 1 / 62}
    assert fused("rrf") == pytest.approx(expected)
    assert list(fused("rrf")) == ["a", "c", "b", "d"]
    assert list(fused("rrf", (1, 2))) == ["c", "a", "d", "b"]


def test_by_scores() -> None:
    assert fused("min-max", (1, 2)) == pytest.approx({"c": 2.0, "a": 1.0, "d": 2 * 0.5, "b": 0.75})
    assert fused("none", k=2) == {"c": 10.0, "d": 5.0}
    spread = (50 / 3) ** 0.5  # of 10, 5, 0
    assert fused("z-score", (0, 1)) == pytest.approx({"c": 5 / spread, "b": 0.0, "d": 0.0, "a": -5 / spread})


@pytest.mark.parametrize("method", ["rrf", "min-max", "z-score", "none"])
def test_it_is_what_retrieve_gives(method: str) -> None:
    options = FusionOptions(method=method, weights=(0.3, 0.7))  # type: ignore[arg-type]
    found = retrieve(RetrieveRequest(runs=(ONE, OTHER), fuse=options)).run
    assert list(found["q"]) == list(
        fuse_runs(FuseRequest(runs=(ONE, OTHER), method=method, weights=(0.3, 0.7))).run["q"]
    )


def test_queries_that_a_run_lacks_are_named() -> None:
    said: list[str] = []
    more = {**OTHER, **run(r=[("x", 1.0)])}
    result = fuse_runs(FuseRequest(runs=(ONE, more)), say=said.append)
    assert ids(result.run, "r") == ["x"]
    assert said == ["run 1: 1 of 2 queries are not in it (r) and are fused without it"]
    assert result.notes == tuple(said)


def test_odd_runs_are_said() -> None:
    assert "are equal: fusing them changes no order" in fuse_runs(FuseRequest(runs=(ONE, ONE))).notes[0]
    (note,) = fuse_runs(FuseRequest(runs=(ONE, run(q=[("x", 1.0)])))).notes
    assert "no document in common: are the ids of one kind? query q has a in the first and x" in note


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (FuseRequest(runs=(ONE,)), "1 run to fuse: give two or more"),
        (FuseRequest(runs=(ONE, OTHER), weights=(1,)), "1 `weights` for 2 runs"),
        (FuseRequest(runs=(ONE, OTHER), weights=(0, 0)), "give numbers from 0 up, not all 0"),
        (FuseRequest(runs=(ONE, OTHER), method="z-scores"), "did you mean 'z-score'"),
        (FuseRequest(runs=(ONE, OTHER), k=0), "k is 0"),
        (FuseRequest(runs=(ONE, run(other=[("a", 1.0)]))), "have no query in common: the first has q"),
        (
            FuseRequest(runs=(run(q=[("a b", 2.0), ("c", 1.0)]), run(q=[("a_b", 2.0), ("c", 1.0)]))),
            "in two styles",
        ),
    ],
)
def test_what_cannot_be_fused(request_: FuseRequest, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        fuse_runs(request_)


QUERIES = [f"q{number:02}" for number in range(20)]
GOOD = {
    query: [ScoredDocument(id, 9.0 - at) for at, id in enumerate(("a", "b", "c", "d"))] for query in QUERIES
}
BAD = {
    query: [ScoredDocument(id, 9.0 - at) for at, id in enumerate(("d", "c", "b", "a"))] for query in QUERIES
}
QRELS = {query: {"a": 1, "d": 0} for query in QUERIES}


def fit(**changes: object) -> FitWeightsRequest:
    asked = FitWeightsRequest(fuse=FuseRequest(runs=(BAD, GOOD), method="min-max"), qrels=QRELS)
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_the_better_run_gets_the_weight() -> None:
    found = fit_weights(fit())
    # a is the first once the second run's share is above 1/2: the smallest such weight is nearest to equal
    assert {fold.weights for fold in found.folds} == {(0.45, 0.55)}
    assert sorted(query for fold in found.folds for query in fold.queries) == QUERIES
    assert [len(fold.queries) for fold in found.folds] == [4] * 5
    assert found.scores.means == {"nDCG@10": 1.0}
    assert (found.overall, found.overall_score) == ((0.45, 0.55), 1.0)
    assert found.alone[1].means["nDCG@10"] == 1.0
    assert found.comparison[0].difference == pytest.approx(1 - found.alone[0].means["nDCG@10"])
    assert ids(found.fused.run, "q00")[0] == "a"


def test_a_query_has_no_part_in_its_own_weight() -> None:
    odd = QUERIES[3]
    judged = {**QRELS, odd: {"d": 1}}  # one query that the other run is right for
    asked = fit(qrels=judged, folds=20)
    found = fit_weights(asked)
    by_query = {fold.queries[0]: fold for fold in found.folds}
    assert by_query[odd].weights == (0.45, 0.55)  # chosen by the nineteen others, and wrong here
    assert by_query[odd].score < 1 == by_query[odd].others
    assert found.scores.means["nDCG@10"] == pytest.approx(fmean(fold.score for fold in found.folds))
    again = score(judged, {query: ids(found.fused.run, query) for query in QUERIES}, ["nDCG@10"])
    assert again.means == found.scores.means


def test_equal_requests_give_equal_results_and_seeds_deal_other_folds() -> None:
    one, again, other = (fit_weights(fit(seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert [fold.queries for fold in one.folds] != [fold.queries for fold in other.folds]


def test_queries_without_judgements_are_said_and_get_the_weights_of_all() -> None:
    judged = {**{query: QRELS[query] for query in QUERIES[:10]}, "absent": {"a": 1}}
    found = fit_weights(fit(qrels=judged))
    assert ids(found.fused.run, "q15")[0] == "a"
    assert any("10 of 20 queries have no judgements (q10," in note for note in found.notes)
    assert any("1 judged queries are in no run (absent): they count as 0" in note for note in found.notes)
    assert found.scores.means["nDCG@10"] == pytest.approx(10 / 11)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (fit(qrels=None), "give either `dataset` ID or `qrels` FILE"),
        (fit(folds=1), "`folds` is 1: give at least 2"),
        (fit(folds=21), "20 judged queries for 21 `folds`: give fewer"),
        (fit(fuse=FuseRequest(runs=(BAD, GOOD), weights=(1, 1))), "leave them out"),
        (fit(fuse=FuseRequest(runs=(BAD, GOOD, GOOD))), "3 runs: a weight is chosen for two"),
    ],
)
def test_weights_that_cannot_be_chosen(request_: FitWeightsRequest, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        fit_weights(request_)


def test_an_unknown_measure_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nDCG@10'"):
        fit_weights(fit(measure="nDGC@10"))


def test_the_grid_has_both_runs_alone() -> None:
    assert (GRID[0], GRID[-1], len(GRID)) == (0.0, 1.0, 21)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, hits in (("bad", BAD), ("good", GOOD)):
        lines = (f"{q} Q0 {h.id} 1 {h.score} t\n" for q, listed in hits.items() for h in listed)
        (tmp_path / name).write_text("".join(lines))
    (tmp_path / "qrels").write_text("".join(f"{query} 0 a 1\n" for query in QUERIES))
    (tmp_path / "empty").write_text("")
    return tmp_path


def piped(folder: Path, *arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What a command that works prints and says."""
    capfd.readouterr()
    with contextlib.chdir(folder), pytest.raises(SystemExit) as end:
        main([*arguments, "-o", "-"])
    assert end.value.code == 0
    return capfd.readouterr()


def test_the_command_writes_a_run(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = reasonrank("fuse", "bad", "good", "--method", "min-max", "--weights", "0.2,0.8", "-k", "3", "-o", "out",
                      folder=folder)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert "20 queries, 60 documents, fused by min-max" in done.stderr
    assert ids(read_run(folder / "out"), "q00") == ["a", "b", "c"]
    assert (folder / "out").read_text().startswith("q00 Q0 a 1 0.8 min-max\n")
    assert read_run_report(folder / "out").notes == ()
    out, _ = piped(folder, "fuse", "bad", "good", capfd=capfd)
    assert len(out.splitlines()) == 20 * 4


def test_the_command_chooses_weights_and_warns(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ("fuse", "bad", "good", "--method", "min-max", "--weights", "cross-validated", "--qrels", "qrels")
    done = reasonrank(*asked, "-o", "out", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "1           4  0.45 0.55       1.0000     1.0000" in done.stdout
    assert "fused, cross-validated   1.0000" in done.stdout
    assert "fitted to the\nqueries that they are scored on, so this is too high" in done.stdout
    assert done.stdout.endswith("--weights 0.45,0.55\n")
    assert reasonrank(*asked, "-o", "out", folder=folder).stdout == done.stdout
    out, said = piped(folder, *asked, capfd=capfd)
    assert out == (folder / "out").read_text()
    assert done.stdout in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("bad",), "1 run to fuse: give two or more"),
        (("bad", "good", "--method", "minmax"), "unknown fusion 'minmax': did you mean 'min-max'?"),
        (("bad", "good", "--weights", "cross-validate"), "did you mean 'cross-validated'"),
        (("bad", "good", "--weights", "1;2"), "--weights 1;2: give a number for each run, such as 0.3,0.7"),
        (("bad", "good", "--weights", "1,2,3"), "3 --weights for 2 runs"),
        (("bad", "good", "--weights", "cross-validated"), "give either --dataset ID or --qrels FILE"),
        (("bad", "good", "--qrels", "qrels"), "judgements are for --weights cross-validated"),
        (("bad", "good", "--weights", "cross-validated", "--qrels", "qrels", "--folds", "30"), "30 --folds: give"),
        (("bad", "empty"), "empty: the file is empty"),
        (("bad", "missing"), "missing"),
    ],
)  # fmt: skip
def test_what_the_command_refuses(folder: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = reasonrank("fuse", *arguments, "-o", "out", folder=folder)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert problem in done.stderr
    assert not (folder / "out").exists()
