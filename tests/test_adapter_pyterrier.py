"""ReasonRank in PyTerrier: the contract tests that it ships, frames of every kind, an experiment on nano's world."""

from __future__ import annotations

import subprocess
import sys
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from adapters_kit import Reranked, nano

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge

pytest.importorskip("pyterrier")
import pandas as pd
import pyterrier as pt

from reasonrank_pyserini.adapters import ReasonRank

__all__ = ["nano"]  # a fixture
COLUMNS = ["qid", "query", "docno", "text"]


@pytest.fixture(scope="module")
def lamps() -> Iterator[ReasonRank]:
    """Puts the rows 2 and 0 of every query first."""
    with Reranker(OracleJudge({"1": {"2": 2, "0": 1}, "2": {"2": 2, "0": 1}})) as reranker:
        yield ReasonRank(reranker)


def frame(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns)


def test_the_shipped_contract_tests_pass(lamps: ReasonRank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PT_TEST_TRANSFORMER_REPORTS", "0")
    case = pt.testing.transformer_test_class(lambda: lamps)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    assert suite.countTestCases() == 2
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    assert (result.testsRun, result.failures, result.errors) == (2, [], [])


def test_what_it_takes_and_gives_is_inspected_without_a_call(lamps: ReasonRank) -> None:
    assert pt.inspect.transformer_inputs(lamps) == [["qid", "docno", "query", "text"]]
    assert pt.inspect.transformer_outputs(lamps, [*COLUMNS, "score", "rank", "url"]) == [
        *COLUMNS, "url", "score", "rank",
    ]  # fmt: skip
    with pytest.raises(pt.validate.InputValidationError, match="text"):
        lamps(frame([], ["qid", "query", "docno"]))


def test_rows_are_reordered_within_their_query_and_keep_their_columns(lamps: ReasonRank) -> None:
    rows = [(q, "lamp", f"d{i}", f"text {i}", i * 10, 9.0 - i, i) for q in ("2", "1") for i in range(4)]
    found = lamps(frame(rows, [*COLUMNS, "url", "score", "rank"]))
    assert list(found.columns) == [*COLUMNS, "url", "score", "rank"]
    assert found["qid"].tolist() == ["2"] * 4 + ["1"] * 4
    assert found["docno"].tolist() == ["d2", "d0", "d1", "d3"] * 2
    assert found["url"].tolist() == [20, 0, 10, 30] * 2
    assert found["score"].tolist() == [4.0, 3.0, 2.0, 1.0] * 2
    assert found["rank"].tolist() == [0, 1, 2, 3] * 2
    assert found.index.tolist() == list(range(8))


@pytest.mark.parametrize("column", ["rank", "score"])
def test_candidates_are_taken_by_rank_else_by_score(lamps: ReasonRank, column: str) -> None:
    """Listed worst first; the first stage's best is then row 0, its third is row 2."""
    sign = -1 if column == "score" else 1
    rows = [("1", "lamp", f"d{i}", "", sign * i) for i in (3, 2, 1, 0)]
    assert lamps(frame(rows, [*COLUMNS, column]))["docno"].tolist() == ["d2", "d0", "d1", "d3"]


def test_equal_docnos_stay_and_missing_texts_are_empty(lamps: ReasonRank) -> None:
    rows = [("1", "lamp", "d", None), ("1", "lamp", "d", float("nan")), ("1", "lamp", "d", "lamp")]
    found = lamps(frame(rows, COLUMNS))
    assert found["docno"].tolist() == ["d"] * 3
    assert found["text"].tolist()[0] == "lamp"
    assert found["text"].isna().tolist() == [False, True, True]


def test_an_empty_frame_has_the_columns(lamps: ReasonRank) -> None:
    found = lamps(frame([], [*COLUMNS, "score", "rank", "url"]))
    assert list(found.columns) == [*COLUMNS, "url", "score", "rank"]
    assert (len(found), found["score"].dtype.kind, found["rank"].dtype.kind) == (0, "f", "i")


def test_the_input_is_left_as_it_was_and_numbers_are_query_ids(lamps: ReasonRank) -> None:
    given = frame([(1, "lamp", f"d{i}", "", i) for i in range(3)], [*COLUMNS, "rank"])
    before = given.copy()
    assert lamps(given)["docno"].tolist() == ["d2", "d0", "d1"]
    pd.testing.assert_frame_equal(given, before)


def test_titles_and_another_column_of_texts_are_shown() -> None:
    seen: list[tuple[str, str]] = []

    class Reading:
        async def judge(self, query: Any, documents: Any, number: int = 0) -> Any:
            seen.extend((document.title, document.text) for document in documents)
            return await OracleJudge({}).judge(query, documents, number)

    with Reranker(Reading()) as reranker:
        rows = [("1", "lamp", "a", "Oil", "brass"), ("1", "lamp", "b", None, "moth")]
        ReasonRank(reranker, text_field="body")(frame(rows, ["qid", "query", "docno", "title", "body"]))
    assert seen == [("Oil", "brass"), ("", "moth")]


def test_pyterrier_finds_it_as_a_module() -> None:
    """As the entry point `pyterrier.modules` says, whichever of the two is imported first."""
    ours = "reasonrank_pyserini.adapters.pyterrier_reranker"
    for line in ("import pyterrier", f"import {ours}, pyterrier"):
        code = f"{line}; from {ours} import ReasonRank; print(pyterrier.reasonrank.ReasonRank is ReasonRank)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"


@pytest.mark.filterwarnings("ignore:There are shared pipeline components")
def test_an_experiment_gives_the_scores_of_rerank_many(nano: Reranked) -> None:
    rows = [
        (query.id, c.id, c.document.text, c.score, c.rank - 1)
        for query in nano.queries
        for c in nano.candidates[query.id]
    ]
    words = pt.Transformer.from_df(frame(rows, ["qid", "docno", "text", "score", "rank"]))
    topics = frame([(query.id, query.text) for query in nano.queries], ["qid", "query"])
    qrels = frame(
        [(q, docid, grade) for q, found in nano.qrels.items() for docid, grade in found.items()],
        ["qid", "docno", "label"],
    )
    table = pt.Experiment(
        [words % 20, words % 20 >> ReasonRank(nano.reranker)], topics, qrels, ["ndcg_cut_10"],
        names=["shared words", "ReasonRank"],
    )  # fmt: skip
    before, after = table["ndcg_cut_10"]
    assert after == pytest.approx(nano.ndcg, abs=1e-12)
    assert after > before
