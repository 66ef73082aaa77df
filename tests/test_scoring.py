from __future__ import annotations

from math import log2
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.runfile import read_qrels, read_run
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.types import ScoredDocument


def scored(**scores: float) -> list[ScoredDocument]:
    return [ScoredDocument(name, value) for name, value in scores.items()]


QRELS = {"q1": {"a": 1, "b": 2}, "q2": {"a": 1, "c": 0}}


def test_means_and_values_per_query() -> None:
    found = score(QRELS, {"q1": ["a", "x", "b"], "q2": ["c", "a"]}, ["nDCG@10", "RR@10", "P@2"])
    ideal = 2 + 1 / log2(3)
    expected = {
        "q1": {"nDCG@10": (1 + 2 / log2(4)) / ideal, "RR@10": 1.0, "P@2": 1 / 2},
        "q2": {"nDCG@10": 1 / log2(3), "RR@10": 1 / 2, "P@2": 1 / 2},
    }
    assert {query: pytest.approx(values) for query, values in expected.items()} == found.per_query
    assert found.means == pytest.approx(
        {name: (expected["q1"][name] + expected["q2"][name]) / 2 for name in expected["q1"]}
    )
    assert list(found.means) == ["nDCG@10", "RR@10", "P@2"]
    assert found.notes == ()


def test_missing_queries_count_as_zero_and_unjudged_ones_not_at_all() -> None:
    found = score(QRELS, {"q2": ["a"], "q7": ["a"], "q8": []}, ["RR@10"])
    assert found.per_query == {"q1": {"RR@10": 0.0}, "q2": {"RR@10": 1.0}}
    assert found.means == {"RR@10": 1 / 2}
    assert (found.missing, found.unjudged) == (("q1",), ("q7", "q8"))
    assert found.notes == (
        "1 query (q1) with judgements not in the run, counted as 0 (`run_queries` leaves them out)",
        "2 queries (q7, q8) of the run without judgements, ignored",
    )


def test_an_empty_run_scores_zero() -> None:
    assert score(QRELS, {}, ["nDCG@10", "AP"]).means == {"nDCG@10": 0.0, "AP": 0.0}


def test_scores_rank_not_lines_and_ties_go_to_the_larger_docid() -> None:
    qrels = {"q": {"b": 1}}
    assert score(qrels, {"q": scored(a=1.0, b=2.0)}, ["RR"]).means == {"RR": 1.0}
    assert score(qrels, {"q": scored(a=1.0, b=1.0)}, ["RR"]).means == {"RR": 1.0}
    assert score(qrels, {"q": scored(b=1.0, c=1.0)}, ["RR"]).means == {"RR": 1 / 2}
    almost = 1.0 + 2**-30  # the same float32
    assert score(qrels, {"q": scored(b=almost, c=1.0)}, ["RR"]).means == {"RR": 1 / 2}
    assert score(qrels, {"q": ["b", "c"]}, ["RR"]).means == {"RR": 1.0}


def test_ids_may_hold_anything() -> None:
    qrels = {"q 1": {"a b": 1, "": 0, "d\td": 1}, "ü": {"x": 1}}
    run = {"q 1": ["d\td", "other one", "a b"], "ü": ["x"]}
    found = score(qrels, run, ["AP", "ERR@20", "RR@10", "Judged@3"])
    assert found.per_query["q 1"]["AP"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.per_query["q 1"]["Judged@3"] == pytest.approx(2 / 3)
    assert found.per_query["ü"]["ERR@20"] > 0


def test_a_document_named_twice_counts_once() -> None:
    assert score({"q": {"a": 1, "b": 1}}, {"q": ["a", "a", "b"]}, ["AP"]).means == {"AP": 1.0}
    twice = [ScoredDocument("a", 3.0), ScoredDocument("b", 2.0), ScoredDocument("a", 1.0)]
    assert score({"q": {"a": 1}}, {"q": twice}, ["RR"]).means == {"RR": 1.0}


def test_the_last_of_a_repeated_document_s_places_may_count() -> None:
    qrels = {"q": {"a": 1}}
    twice = [ScoredDocument("a", 3.0), ScoredDocument("b", 2.0), ScoredDocument("a", 1.0)]
    assert score(qrels, {"q": twice}, ["RR"], duplicates="first").means == {"RR": 1.0}
    assert score(qrels, {"q": twice}, ["RR"], duplicates="last").means == {"RR": 1 / 2}
    assert score(qrels, {"q": ["a", "b", "a"]}, ["RR"], duplicates="last").means == {"RR": 1 / 2}
    assert score(qrels, {"q": ["a", "b", "c"]}, ["RR"], duplicates="last").means == {"RR": 1.0}


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("nDCG@10", "nDCG@10"),
        ("ndcg@10", "nDCG@10"),
        ("ndcg_cut_10", "nDCG@10"),
        ("map", "AP"),
        ("MRR@10", "RR@10"),
    ],
)
def test_measure_names(name: str, canonical: str) -> None:
    assert list(score(QRELS, {}, [name, canonical]).means) == [canonical]


def test_measures_of_ir_measures() -> None:
    from ir_measures import AP, nDCG

    assert list(score(QRELS, {"q1": ["a"]}, [nDCG @ 5, AP(rel=2)]).means) == ["nDCG@5", "AP(rel=2)"]


@pytest.mark.parametrize(
    "name",
    ["foo", "", "P", "P@0", "P@x", "nDCG@", "nDCG(foo=1)", "nDCG@1.5", "((((", "P@99999999999", "n" * 10_000],
)
def test_measures_that_do_not_exist(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown measure") as caught:
        score(QRELS, {}, [name])
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_query_whose_grades_are_all_negative_scores_0() -> None:
    measures = ["nDCG@10", "AP", "P@5", "R@100", "RR", "Bpref"]
    found = score({"q1": {"a": -2, "b": -1}, "q2": {"a": 1}}, {"q1": ["a"], "q2": ["a"]}, measures)
    assert set(found.per_query["q1"].values()) == {0.0}
    assert found.per_query["q2"]["AP"] == 1.0


def test_nothing_to_score_with() -> None:
    with pytest.raises(InputError, match="no judgements"):
        score({}, {"q": ["a"]}, ["AP"])
    with pytest.raises(InputError, match="no measure"):
        score(QRELS, {}, [])


# ---- published figures


@pytest.mark.parametrize(
    ("task", "plain", "fixed"),
    [
        ("biology", 43.49, 44.19),
        ("earth_science", 43.00, 43.41),
        ("economics", 32.65, 32.65),
        ("stackoverflow", 30.96, 31.85),
        ("leetcode", 31.68, 31.68),
        ("theoremqa_theorems", 36.68, 36.68),
    ],
)
def test_the_first_stage_of_bright(shared: Path, task: str, plain: float, fixed: float) -> None:
    run = read_run(shared / "bright" / "runs" / f"{task}.reasonir_gpt4cot_top100.txt")
    found = [
        score(read_qrels(shared / "bright" / "qrels" / name), run, ["nDCG@10"]).means["nDCG@10"]
        for name in (f"{task}.txt", f"{task}.fixed.txt")
    ]
    assert [round(100 * value, 2) for value in found] == [plain, fixed]


def test_bm25_on_cacm(shared: Path) -> None:
    folder = shared / "collections" / "cacm"
    qrels, run = read_qrels(folder / "qrels.txt"), read_run(folder / "run.bm25.txt.gz")
    found = score(qrels, run, ["nDCG@10", "AP", "P@30", "R@100", "R@1000"])
    assert {name: round(value, 6) for name, value in found.means.items()} == {
        "nDCG@10": 0.454282,
        "AP": 0.312252,
        "P@30": 0.194231,
        "R@100": 0.643596,
        "R@1000": 0.886749,
    }
    assert (len(found.per_query), len(found.missing), len(found.unjudged)) == (52, 0, 12)
