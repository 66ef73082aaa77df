"""Searching a Lucene index: Anserini's run and scores, and no query or setting that breaks it."""

from __future__ import annotations

import gzip
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lucene_kit import ask, cache, corpus, ids, stage, stage_q

from reasonrank_pyserini.errors import InputError, ReasonRankError, UnknownNameError
from reasonrank_pyserini.first_stages.java.anserini import java_text
from reasonrank_pyserini.first_stages.lucene import LuceneFirstStage, open_lucene
from reasonrank_pyserini.types import Query

__all__ = ["cache", "corpus", "stage", "stage_q"]  # fixtures


def test_cacm_is_anserinis_run_and_scores(
    shared: Path, cacm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ir_measures
    from ir_measures import AP, P, nDCG

    monkeypatch.setenv("REASONRANK_CACHE", str(cacm_cache))
    folder = shared / "collections" / "cacm"
    queries = [Query(*line.split("\t")) for line in (folder / "topics.tsv").read_text().splitlines()]
    with open_lucene(corpus=folder / "corpus.jsonl") as stage:
        found = dict(zip([query.id for query in queries], stage.candidates(queries, 1000), strict=True))
    with gzip.open(folder / "run.bm25.txt.gz", "rt") as stream:
        expected = [line.split() for line in stream]
    ours = [(id, hit.id, str(rank)) for id, hits in found.items() for rank, hit in enumerate(hits, 1)]
    assert len(ours) == 58571
    assert ours == [(fields[0], fields[2], fields[3]) for fields in expected]
    qrels = [
        ir_measures.Qrel(q, d, int(grade))
        for q, _, d, grade in map(str.split, (folder / "qrels.txt").read_text().splitlines())
    ]
    run = [ir_measures.ScoredDoc(id, hit.id, hit.score) for id, hits in found.items() for hit in hits]
    scores = ir_measures.calc_aggregate([AP, P @ 30, nDCG @ 10], qrels, run)
    assert {str(name): round(value, 4) for name, value in scores.items()} == {
        "AP": 0.3123,
        "P@30": 0.1942,
        "nDCG@10": 0.4543,
    }


def test_both_methods_find_what_holds_the_words(stage: LuceneFirstStage, stage_q: LuceneFirstStage) -> None:
    for each in (stage, stage_q):
        found = each.candidates([Query("1", "sharing time"), Query("2", "café"), Query("3", "heaps")], 10)
        assert set(ids(found[0])) == {"d1", "d two", "d3", "d6", "d é 😀"}  # share is the stem of sharing
        assert set(ids(found[0])[:2]) == {"d1", "d two"}
        assert ids(found[1]) == ["d é 😀"]
        assert ids(found[2]) == ["4"]
        assert all(a.score > b.score for hits in found for a, b in pairwise(hits))


def test_a_relative_folder_is_found_from_where_python_is_now(
    stage: LuceneFirstStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java runs already, and stays in the folder in which it was started."""
    monkeypatch.chdir(stage.folder.parent)
    with LuceneFirstStage(stage.folder.name + "/") as opened:
        assert ask(opened, "heaps") == ["4"]


def test_query_side_bm25_flattens_repeated_words(stage: LuceneFirstStage, stage_q: LuceneFirstStage) -> None:
    def score(stage: LuceneFirstStage, text: str) -> float:
        return stage.candidates([Query("q", text)], 1)[0][0].score

    assert score(stage, "heaps " * 50) == pytest.approx(50 * score(stage, "heaps"), rel=1e-5)
    assert score(stage_q, "heaps " * 50) < 3 * score(stage_q, "heaps")


def test_k1_and_b_are_used(corpus: Path) -> None:
    with open_lucene(corpus=corpus, k1=0, b=0) as flat:
        found = flat.candidates([Query("q", "sharing")], 10)[0]
    assert [hit.score for hit in found] == pytest.approx([found[0].score] * len(found), abs=1e-5)
    assert ids(found) == sorted(ids(found))  # ties are in the order of docids


@pytest.mark.parametrize(
    "text", ["", "   ", "the of and", "?! ... --", "zzzunknown", "\u0000", "\ud800", "\n\t"]
)
def test_queries_without_hits_give_empty_lists_and_disturb_nobody(
    stage: LuceneFirstStage, stage_q: LuceneFirstStage, text: str
) -> None:
    for each in (stage, stage_q):
        found = each.candidates([Query("1", "heaps"), Query("2", text), Query("3", "heaps")], 10)
        assert [ids(hits) for hits in found] == [["4"], [], ["4"]]
    assert stage.candidates([], 10) == []


def test_long_queries_work(stage: LuceneFirstStage, stage_q: LuceneFirstStage) -> None:
    words = " ".join(f"word{number}" for number in range(5000))
    for each in (stage, stage_q):
        assert ask(each, words + " heaps") == ["4"]
        assert ask(each, "heaps " * 100_000) == ["4"]
        assert ask(each, "x" * 100_000 + " heaps") == ["4"]
        found = each.candidates([Query(str(n), f"{words} heaps") for n in range(20)], 10)
        assert [ids(hits) for hits in found] == [["4"]] * 20


def test_fewer_than_k_and_exactly_k(stage: LuceneFirstStage) -> None:
    assert len(ask(stage, "sharing", 2)) == 2
    assert len(ask(stage, "sharing", 5)) == 5
    assert len(ask(stage, "sharing", 2_000_000_000)) == 5
    with pytest.raises(InputError, match="k is 0"):
        stage.candidates([Query("q", "sharing")], 0)


def test_query_ids_may_repeat_be_empty_or_odd(stage: LuceneFirstStage) -> None:
    queries = [
        Query("1", "heaps"),
        Query("1", "café"),
        Query("", "parallel"),
        Query("\ud800 x", "note"),
        Query("1", ""),
    ]
    found = stage.candidates(queries, 10)
    assert [ids(hits) for hits in found] == [["4"], ["d é 😀"], ["d3"], ["d7"], []]


def test_batches_of_any_size_and_threads_agree(corpus: Path, stage: LuceneFirstStage) -> None:
    queries = [Query(str(n), ("sharing", "heaps", "", "nothing note time")[n % 4]) for n in range(203)]
    one_by_one = [stage.candidates([query], 3)[0] for query in queries[:4]]
    with open_lucene(corpus=corpus, threads=7) as wide:
        results: list[object] = []
        workers = [
            threading.Thread(target=lambda: results.append(wide.candidates(queries, 3))) for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert results == [[one_by_one[n % 4] for n in range(203)]] * 3


def test_excluded_documents_leave_before_ranks_are_cut(corpus: Path, stage: LuceneFirstStage) -> None:
    everything = ask(stage, "sharing")
    out = frozenset([everything[0], everything[2]])
    with open_lucene(corpus=corpus, excluded={"q": out}) as without:
        assert ask(without, "sharing", 3) == [id for id in everything if id not in out][:3]
        assert ids(without.candidates([Query("other", "sharing")], 3)[0]) == everything[:3]
    with open_lucene(corpus=corpus, excluded=lambda id: frozenset(everything)) as nothing:
        assert ask(nothing, "sharing", 3) == []


def test_a_search_that_fails_names_the_query_and_the_reason(corpus: Path) -> None:
    stage = open_lucene(corpus=corpus)
    stage.close()
    with pytest.raises(ReasonRankError, match=r"query 'q 7' cannot be searched in .*: .*closed") as caught:
        stage.candidates([Query("q 7", "heaps")], 10)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(), max_size=40), max_size=4))
def test_no_text_can_make_a_search_fail(
    stage: LuceneFirstStage, stage_q: LuceneFirstStage, texts: list[str]
) -> None:
    queries = [Query(text, f"{text} heaps") for text in texts]
    for each in (stage, stage_q):
        assert ["4" in ids(hits) or "heaps" not in query.text.split() for query, hits in
                zip(queries, each.candidates(queries, 10), strict=True)] == [True] * len(texts)  # fmt: skip


def test_text_for_java_keeps_all_but_lone_surrogates() -> None:
    for text in ("", "a\u0000b", "é東京😀\U0010ffff"):
        assert java_text(text) == text
    assert java_text("\ud83d\ude00 \ud800x\udc00") == "😀 \ufffdx\ufffd"


def test_wrong_settings_are_one_line(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bm25'"):
        open_lucene(corpus=corpus, method="bm2")
    for wrong in ({"k1": -1}, {"k1": float("nan")}, {"b": 1.5}, {"threads": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            open_lucene(corpus=corpus, **wrong)
    for both in ({}, {"index": "a", "corpus": corpus}):
        with pytest.raises(InputError, match="either an index or a corpus"):
            open_lucene(**both)  # type: ignore[arg-type]
