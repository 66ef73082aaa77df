"""Fusion with a first stage as other rerankers' programs do it, where one query alone and finite scores define it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from rankers_kit import number, rows

from reasonrank_pyserini.first_stages.fusion import weighted_scores
from reasonrank_pyserini.types import ScoredDocument


def hits(scores: dict[str, float]) -> list[ScoredDocument]:
    """Best first, ties as given."""
    return [ScoredDocument(id, score) for id, score in sorted(scores.items(), key=lambda item: -item[1])]


def compare(found: list[ScoredDocument], expected: dict[str, float], id: str) -> None:
    assert {hit.id: hit.score for hit in found} == pytest.approx(expected, abs=1e-9), id


def test_z_scores_of_erank(shared: Path) -> None:
    for row in rows(shared, "erank", "scores"):
        if row["kind"] != "hybrid":
            continue
        first, rank = (
            {f"d{at}": number(score) for at, score in enumerate(row[name])}
            for name in ("first_stage_scores", "rank_scores")
        )
        expected = {f"d{at}": number(score) for at, score in enumerate(row["hybrid_scores"] or ())}
        if row["raises"] or not all(
            map(math.isfinite, (*first.values(), *rank.values(), *expected.values()))
        ):
            continue  # NaN for all: equal scores in one list, or a score that is not finite
        found = weighted_scores([hits(first), hits(rank)], (row["alpha"], 1 - row["alpha"]), "z-score")
        compare(found, expected, row["id"])


def test_equal_scores_do_not_spoil_the_others() -> None:
    found = weighted_scores([hits({"a": 5.0, "b": 5.0}), hits({"a": 1.0, "b": 3.0})], (0.2, 0.8), "z-score")
    assert [(hit.id, hit.score) for hit in found] == [("b", 0.8), ("a", -0.8)]


def test_group_scores_with_the_retrievers(shared: Path) -> None:
    for row in rows(shared, "diver-grouprank", "scores"):
        if (
            row["kind"] != "fusion" or row["raises"] is not None
        ):  # a program that stops at an excluded document
            continue
        for query, fused in row["fused"].items():
            groups, retriever = dict(row["group_scores"][query]), dict(row["retriever"][query])
            found = weighted_scores([hits(groups), hits(retriever)], (0.6, 0.4), "none")
            known = [hit for hit in found if hit.id in groups]  # the program loses what was never scored
            compare(known, dict(fused), row["id"])
            assert {hit.id for hit in found} == set(retriever) | set(groups)


def spread(scores: dict[str, float]) -> bool:
    return len(set(scores.values())) > 1


def test_lexical_and_dense_scores_of_diver(shared: Path) -> None:
    for row in rows(shared, "diver-grouprank", "scores"):
        if row["kind"] != "merge":
            continue
        weight = row["wgt_dense"]
        for query, result in row["result"].items():
            lexical, dense = row["bm25"][query], row["dense"][query]
            if lexical.keys() != dense.keys() or not (spread(lexical) and spread(dense)):
                continue  # a missing document counts as raw score 0 there, equal scores as 0
            found = weighted_scores([hits(lexical), hits(dense)], (1 - weight, weight))
            kept = dict(result)
            compare([hit for hit in found if hit.id in kept], kept, row["id"])


def run(text: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        query, _, docid, _, score, _ = line.split()
        found.setdefault(query, {})[docid] = float(score)
    return found


def test_two_runs_of_rank_r1(shared: Path) -> None:
    for row in rows(shared, "rank-r1", "scores"):
        if row["kind"] != "hybrid" or row["raises"] is not None:
            continue
        one, other, result = run(row["run_1"]), run(row["run_2"]), run(row["result"])
        for query in result:
            lists = [one.get(query, {}), other.get(query, {})]
            falls = all(list(scores.values()) == sorted(scores.values(), reverse=True) for scores in lists)
            if not (falls and all(map(spread, lists))):
                continue  # scaled by the first and the last line there; a query of one run alone is used twice
            found = weighted_scores([hits(scores) for scores in lists], (row["alpha"], 1 - row["alpha"]))
            compare(found, result[query], row["id"])
