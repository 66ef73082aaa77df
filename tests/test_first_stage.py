from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.first_stages.base import RunFirstStage, lookup, without
from reasonrank_pyserini.first_stages.fusion import (
    ReciprocalRankFusion,
    WeightedFusion,
    reciprocal_ranks,
    weighted_scores,
)
from reasonrank_pyserini.testing import check_first_stage
from reasonrank_pyserini.types import Query, ScoredDocument


def hits(text: str) -> list[ScoredDocument]:
    """`"a:3 b:2"` as a ranking; scores count down where they are left out."""
    parts = [word.partition(":") for word in text.split()]
    return [ScoredDocument(id, float(score or len(parts) - n)) for n, (id, _, score) in enumerate(parts)]


def ids(ranking: Sequence[ScoredDocument]) -> str:
    return " ".join(hit.id for hit in ranking)


Q1, Q2, Q3 = Query("q1", "one"), Query("q2", "two"), Query("q3", "three")


def test_a_run_keeps_its_line_order_and_the_first_of_duplicates() -> None:
    stage = RunFirstStage({"q1": hits("a:1 b:5 a:9 c:2")})
    assert stage.candidates([Q1], 10) == [hits("a:1 b:5 c:2")]
    assert stage.candidates([Q1], 2) == [hits("a:1 b:5")]


def test_a_query_unknown_to_the_run_is_empty_and_none_is_lost() -> None:
    stage = RunFirstStage({"q2": hits("a b")})
    assert [ids(found) for found in stage.candidates([Q1, Q2, Q3, Q2], 5)] == ["", "a b", "", "a b"]


def test_excluded_documents_leave_before_the_cut() -> None:
    run = {"q1": hits("a b c d e"), "q2": hits("a b c d e")}
    direct = RunFirstStage(run, lookup({"q1": {"a", "c"}}))
    wrapped = without(RunFirstStage(run), {"q1": {"a", "c"}})
    for stage in (direct, wrapped):
        assert [ids(found) for found in stage.candidates([Q1, Q2], 2)] == ["b d", "a b"]


class Counting:
    """A stage that notes how it was asked."""

    def __init__(self, stage: RunFirstStage) -> None:
        self.stage = stage
        self.asked: list[tuple[int, int]] = []

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        self.asked.append((len(queries), k))
        return self.stage.candidates(queries, k)


@given(st.lists(st.sets(st.integers(0, 60)), min_size=1, max_size=20), st.integers(1, 30))
def test_k_remain_whatever_is_excluded_in_few_batches(unwanted: list[set[int]], k: int) -> None:
    run = {str(n): hits(" ".join(f"d{i}" for i in range(50))) for n in range(len(unwanted))}
    inner = Counting(RunFirstStage(run))
    excluded = {str(n): {f"d{i}" for i in docs} for n, docs in enumerate(unwanted)}
    queries = [Query(str(n), "text") for n in range(len(unwanted))]
    found = without(inner, lookup(excluded)).candidates(queries, k)
    for query, ranking in zip(queries, found, strict=True):
        allowed = [hit for hit in run[query.id] if hit.id not in excluded[query.id]]
        assert ranking == allowed[:k]
    assert len(inner.asked) <= 8  # 0, 1, 2, 4, ..., 64 more than k
    assert sum(count for count, _ in inner.asked) == len(queries)


def test_nothing_excluded_leaves_the_stage_as_it_is() -> None:
    stage = RunFirstStage({})
    assert without(stage, None) is stage
    assert without(stage, {}) is stage
    assert without(stage, {"q1": ()}) is stage


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    run = RunFirstStage({"q1": hits("a")})
    fused = ReciprocalRankFusion([run])
    for stage in (run, without(run, lookup({})), fused, WeightedFusion([run])):
        with pytest.raises(InputError, match=f"k is {k}"):
            stage.candidates([Q1], k)


def test_reciprocal_ranks_are_the_sum_over_stages() -> None:
    fused = reciprocal_ranks([hits("a b c"), hits("c d")])
    assert fused == [
        ScoredDocument("c", 1 / 63 + 1 / 61),
        ScoredDocument("a", 1 / 61),
        ScoredDocument("b", 1 / 62),
        ScoredDocument("d", 1 / 62),
    ]


def test_reciprocal_ranks_with_weights_and_another_constant() -> None:
    fused = reciprocal_ranks([hits("a b"), hits("b a")], rrf_k=1, weights=[1, 3])
    assert fused == [ScoredDocument("b", 1 / 3 + 3 / 2), ScoredDocument("a", 1 / 2 + 3 / 3)]


def test_ties_go_to_the_better_rank_then_the_earlier_stage() -> None:
    assert ids(reciprocal_ranks([hits("z y"), hits("a b"), hits("m")])) == "z a m y b"
    # p and x both have 1/2, x as 1/4 + 1/4
    tied = reciprocal_ranks([hits("a p"), hits("b c d x"), hits("e f g x")], rrf_k=0)
    assert ids(tied) == "a b e p c f x d g"


def test_a_duplicate_counts_at_its_first_rank_only() -> None:
    assert reciprocal_ranks([hits("a a b")]) == [ScoredDocument("a", 1 / 61), ScoredDocument("b", 1 / 62)]


def test_weighted_scores_are_scaled_per_stage() -> None:
    fused = weighted_scores([hits("a:30 b:20 c:10"), hits("c:0.9 d:0.1")], [0.25, 0.75])
    assert fused == [
        ScoredDocument("c", 0.25 * 0 + 0.75 * 1),
        ScoredDocument("a", 0.25 * 1),
        ScoredDocument("b", 0.25 * 0.5),
        ScoredDocument("d", 0.75 * 0),
    ]


def test_weighted_scores_of_equal_scores_are_all_one() -> None:
    assert weighted_scores([hits("a:7 b:7")]) == [ScoredDocument("a", 1.0), ScoredDocument("b", 1.0)]


def test_weighted_scores_as_they_are() -> None:
    fused = weighted_scores([hits("a:3 b:2"), hits("b:2")], normalise="none")
    assert fused == [ScoredDocument("b", 4.0), ScoredDocument("a", 3.0)]


def test_weighted_scores_refuse_what_cannot_be_summed() -> None:
    with pytest.raises(InputError, match="'b' has the score nan"):
        weighted_scores([hits("a:1 b:nan")])


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.inf], [math.nan, 1.0]])
def test_bad_weights_are_refused_before_any_search(weights: list[float]) -> None:
    stages = [RunFirstStage({}), RunFirstStage({})]
    with pytest.raises(InputError, match="weights"):
        ReciprocalRankFusion(stages, weights=weights)
    with pytest.raises(InputError, match="weights"):
        WeightedFusion(stages, weights)


def test_nothing_to_fuse_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to fuse"):
        ReciprocalRankFusion([])


def test_fused_stages_fetch_deeper_than_k_and_cut_after_fusing() -> None:
    first, second = RunFirstStage({"q1": hits("a b c d")}), RunFirstStage({"q1": hits("d e f g")})
    counted = Counting(first)
    fused = ReciprocalRankFusion([counted, second], depth=3)
    assert [ids(found) for found in fused.candidates([Q1], 1)] == ["a"]  # d is fourth: not fetched
    assert [ids(found) for found in ReciprocalRankFusion([first, second]).candidates([Q1], 1)] == ["d"]
    fused.candidates([Q1], 4)
    assert [k for _, k in counted.asked] == [3, 4]


def test_excluded_documents_leave_each_stage_before_ranks_count() -> None:
    stages = [RunFirstStage({"q1": hits("x a b")}), RunFirstStage({"q1": hits("b x a")})]
    for fused in (
        ReciprocalRankFusion(stages, depth=2, excluded=lookup({"q1": ["x"]})),
        WeightedFusion(stages, depth=2, excluded=lookup({"q1": ["x"]})),
    ):
        assert [ids(found) for found in fused.candidates([Q1, Q2], 2)] == ["a b", ""]
    ranks = ReciprocalRankFusion(stages, excluded=lookup({"q1": ["x"]})).candidates([Q1], 2)[0]
    assert ranks == [ScoredDocument("a", 1 / 61 + 1 / 62), ScoredDocument("b", 1 / 62 + 1 / 61)]


rankings = st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), min_size=1, max_size=4)


@given(rankings, st.randoms())
def test_fusion_holds_every_document_once_and_stage_order_moves_no_score(
    lists: list[list[str]], random: Random
) -> None:
    given_hits = [hits(" ".join(ranking)) for ranking in lists]
    shuffled = random.sample(given_hits, len(given_hits))
    for fuse in (reciprocal_ranks, weighted_scores):
        fused = fuse(given_hits)
        assert sorted(hit.id for hit in fused) == sorted({id for ranking in lists for id in ranking})
        assert [hit.score for hit in fused] == sorted((hit.score for hit in fused), reverse=True)
        assert {hit.id: hit.score for hit in fused} == {hit.id: hit.score for hit in fuse(shuffled)}


def test_the_contract_holds_for_what_is_shipped() -> None:
    run = {"q1": hits("a b c d"), "q2": hits("e"), "q3": []}
    stage = RunFirstStage(run)
    for one in (
        stage,
        without(stage, {"q1": {"b"}}),
        ReciprocalRankFusion([stage, RunFirstStage({"q1": hits("d x")})]),
        WeightedFusion([stage, RunFirstStage({"q1": hits("d x")})]),
    ):
        check_first_stage(one, [Q1, Q2, Q3], k=3)


class Broken:
    """Keeps the contract but for one promise."""

    def __init__(self, promise: str) -> None:
        self.promise = promise

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        if k < 1 and self.promise != "k = 0":
            raise InputError("k is 0")
        text = {
            "a docid twice": "a a",
            "scores rise": "a:1 b:2",
            "candidates for k": "a b c d e",
            "not finite": "a:nan",
        }.get(self.promise, "a b")
        cut = None if self.promise == "candidates for k" else k
        found = [hits(text)[:cut] if query.text.strip() else [] for query in queries]
        if self.promise == "empty query":
            found = [hits("a") for _ in queries]
        return found[:-1] if self.promise == "lists for" else found


@pytest.mark.parametrize(
    "promise",
    ["a docid twice", "scores rise", "candidates for k", "not finite", "empty query", "lists for", "k = 0"],
)
def test_the_contract_check_finds_a_broken_promise(promise: str) -> None:
    check_first_stage(Broken(""), [Q1], k=3)
    with pytest.raises(AssertionError, match=promise):
        check_first_stage(Broken(promise), [Q1], k=3)


def test_a_published_run_keeps_every_candidate(shared: Path) -> None:
    from reasonrank_pyserini.files.excluded import read_excluded
    from reasonrank_pyserini.runfile import read_run

    run = read_run(next((shared / "bright" / "runs").glob("leetcode*")))
    listed = next((shared / "bright" / "excluded").glob("leetcode*"), None)
    excluded = read_excluded(listed) if listed else {}
    queries = [Query(id, "") for id in run]
    found = without(RunFirstStage(run), excluded).candidates(queries, 100)
    for query, ranking in zip(queries, found, strict=True):
        assert ranking == [hit for hit in run[query.id] if hit.id not in excluded.get(query.id, ())]
