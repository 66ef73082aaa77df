"""A reranking fused with its first stage: the order, what is recorded, another weight from the same answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from hypothesis import given
from hypothesis import strategies as st
from page_kit import Page, files, report
from rankers_kit import number, rows

from reasonrank_pyserini import Candidate, Document, Query, Reranker
from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.evaluation.report import read_result
from reasonrank_pyserini.first_stages.fusion import fuse_rankings
from reasonrank_pyserini.jobs import ModelRequest, OracleRequest, RerankRequest, SettingOverrides, rerank
from reasonrank_pyserini.jobs.trace import read_query
from reasonrank_pyserini.ranking.first_stage_fusion import FUSIONS, FirstStageFusion
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.runfile import read_run, write_run
from reasonrank_pyserini.strategies import Groups, Pointwise, PooledWindows, ScoredOrder
from reasonrank_pyserini.types import ScoredDocument, Verdict

__all__ = ["files"]
FIRST = [12.0, 9.0, 8.5, 3.0]
DOCUMENTS = [Document(f"d {at}", f"passage {at}") for at in range(6)]
RUN = {"q": [ScoredDocument(document.id, 10.0 - at) for at, document in enumerate(DOCUMENTS)]}
QRELS = {"q": {"d 3": 1}}


def request(folder: Path, **settings: Any) -> RerankRequest:
    settings = {"window": 3, "step": 2, "depth": 5, **settings}
    judge = OracleRequest(qrels=QRELS, settings=SettingOverrides(**settings))
    return RerankRequest(output=folder, judge=judge, run=RUN)


def order(
    fusion: FirstStageFusion, judged: Sequence[int], scores: Sequence[float] | None = None
) -> list[int]:
    found = ScoredOrder(tuple(judged), None if scores is None else tuple(scores))
    return list(fusion.order(FIRST, found))


def test_reciprocal_ranks() -> None:
    # 0: 1/62 + 1/61; 3: 1/61 + 1/64; 1: 1/63 + 1/62; 2: 1/64 + 1/63
    assert order(FirstStageFusion("rrf"), [3, 0, 1, 2]) == [0, 3, 1, 2]
    assert order(FirstStageFusion("rrf", 0.9), [3, 0, 1, 2]) == [3, 0, 1, 2]


def test_scores_of_an_order_count_down() -> None:
    # 3: (1 + 0) / 2; 0: (2/3 + 1) / 2; 1: (1/3 + 6/9) / 2; 2: (0 + 5.5/9) / 2; the tie by the better best rank
    assert order(FirstStageFusion("min-max"), [3, 0, 1, 2]) == [0, 3, 1, 2]


def test_scores_of_a_strategy_count_themselves() -> None:
    scores = [0.0, 0.1, 0.2, 9.0]  # 3 is far above the others: 1 against 1 + 0, 6/9 + 0.1/9 and 5.5/9 + 0.2/9
    assert order(FirstStageFusion("min-max", 0.6), [3, 2, 1, 0], scores) == [3, 0, 1, 2]
    without = [float("nan"), 1.0, 2.0, float("nan")]  # 0 and 3 count as 1.0, the lowest
    assert order(FirstStageFusion("min-max"), [2, 1, 0, 3], without) == [2, 0, 1, 3]


def test_a_first_stage_without_scores_counts_by_rank() -> None:
    fusion, judged = FirstStageFusion("z-score"), ScoredOrder((2, 0, 1))
    assert fusion.order([0.0, 0.0, 0.0], judged) == fusion.order([3.0, 2.0, 1.0], judged) == (0, 2, 1)


@given(
    st.sampled_from(FUSIONS),
    st.floats(0, 1),
    st.lists(st.floats(-1e3, 1e3), max_size=40),
    st.randoms(use_true_random=False),
)
def test_a_fused_order_has_every_candidate(
    method: str, weight: float, first: list[float], stream: Any
) -> None:
    judged = list(range(len(first)))
    stream.shuffle(judged)
    found = FirstStageFusion(method, weight).order(first, ScoredOrder(tuple(judged)))
    assert sorted(found) == list(range(len(first)))
    assert FirstStageFusion(method, 1.0).order(first, ScoredOrder(tuple(judged))) == tuple(judged)


def test_erank_is_fused_as_its_authors_do(shared: Path) -> None:
    for row in rows(shared, "erank", "scores"):
        if row["kind"] != "hybrid" or row["raises"]:
            continue
        first, scores, hybrid = (
            [number(one) for one in row[name]]
            for name in ("first_stage_scores", "rank_scores", "hybrid_scores")
        )
        if any(one != one for one in hybrid) or len(set(hybrid)) < len(hybrid) or len(set(first)) < 2:
            continue
        at = sorted(range(len(scores)), key=lambda one: -scores[one])
        found = FirstStageFusion("z-score", 1 - row["alpha"]).order(
            first, ScoredOrder(tuple(at), tuple(scores))
        )
        assert list(found) == sorted(range(len(hybrid)), key=lambda one: -hybrid[one]), row["id"]


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'min-max'"):
        FirstStageFusion("minmax")
    with pytest.raises(InputError, match=r"`fuse_weight` is 1\.5: it must be between 0 and 1"):
        FirstStageFusion("rrf", 1.5)


def test_only_the_reranked_are_fused_and_the_trace_is_the_same(tmp_path: Path) -> None:
    alone, fused = (rerank(request(tmp_path / name, **given)) for name, given in
                    (("alone", {}), ("fused", {"fuse": "rrf", "fuse_weight": 0.5})))  # fmt: skip
    assert [hit.id for hit in alone.run()["q"]] == ["d 3", "d 0", "d 1", "d 2", "d 4", "d 5"]
    # d 0: 1/62 + 1/61; d 3: 1/61 + 1/64; d 1: 1/63 + 1/62; d 2: 1/64 + 1/63
    assert [hit.id for hit in fused.run()["q"]] == ["d 0", "d 3", "d 1", "d 2", "d 4", "d 5"]
    traces = [(tmp_path / name / "trace.jsonl").read_text() for name in ("alone", "fused")]
    assert traces[0] == traces[1]
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("alone", "fused")]
    assert manifests[1]["settings"] == {**manifests[0]["settings"], "fuse": "rrf", "fuse_weight": 0.5}
    assert not {"fuse", "fuse_weight"} & manifests[0]["configuration"]["settings"].keys()


@pytest.mark.parametrize("method", FUSIONS)
def test_it_is_what_fusing_the_run_files_gives(tmp_path: Path, method: str) -> None:
    whole = {"depth": 6}
    alone = rerank(request(tmp_path / "alone", **whole)).run()["q"]
    fused = rerank(request(tmp_path / "fused", **whole, fuse=method, fuse_weight=0.7)).run()["q"]
    apart = fuse_rankings([alone, RUN["q"]], method, (0.7, 0.3))
    assert [hit.id for hit in fused] == [hit.id for hit in apart]


def test_another_weight_is_another_configuration(tmp_path: Path) -> None:
    rerank(request(tmp_path / "out", fuse="rrf"))
    assert rerank(request(tmp_path / "out", fuse="rrf")).already_there
    with pytest.raises(InputError, match=r"settings\.fuse_weight: 0\.5 there, 0\.2 now"):
        rerank(request(tmp_path / "out", fuse="rrf", fuse_weight=0.2))
    with pytest.raises(InputError, match="`fuse_weight` belongs to `fuse`"):
        rerank(request(tmp_path / "out", fuse_weight=0.2))


def test_another_weight_is_replayed_from_the_journal(tmp_path: Path) -> None:
    candidates = [Candidate(one, hit.score) for one, hit in zip(DOCUMENTS, RUN["q"], strict=True)]

    def asked(**more: Any) -> RerankRequest:
        settings = SettingOverrides(fuse="min-max", **more)
        judge = ModelRequest(model="nano", settings=settings)
        return RerankRequest(
            output=tmp_path / "out", judge=judge, requests=[(Query("q", "which"), candidates)]
        )

    first = rerank(asked(fuse_weight=1.0))
    records = list((tmp_path / "out" / "journal").glob("*.journal"))
    sizes = [path.stat().st_size for path in records]
    again = rerank(replace(asked(fuse_weight=0.0), replay=True, overwrite=True))
    assert again.replayed
    assert [hit.id for hit in again.run()["q"]] == [document.id for document in DOCUMENTS]
    assert first.counts.windows == again.counts.windows
    assert [path.stat().st_size for path in records] == sizes


def test_show_gives_the_fused_places(tmp_path: Path) -> None:
    rerank(request(tmp_path / "out", fuse="rrf"))
    found = read_query(tmp_path / "out", "q")
    assert (found.fused, found.after) == ("rrf, weight 0.5", ("d 0", "d 3", "d 1", "d 2", "d 4"))
    done = reasonrank("show", tmp_path / "out", "--query", "q", "--top", "3")
    assert "fused with the first stage (rrf, weight 0.5)\n" in done.stdout
    assert "   2    4      +2  d 3\n" in done.stdout
    for name in ("run.trec", "manifest.json"):
        (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / "journal" / "configuration.json").write_text(
        json.dumps({"settings": {"fuse": "rrf", "fuse_weight": 0.5}})
    )
    assert read_query(tmp_path / "out", "q").after == ()
    assert (
        "known once the reranking is finished" in reasonrank("show", tmp_path / "out", "--query", "q").stdout
    )
    with pytest.raises(InputError, match="report it once it is finished"):
        read_result("out", tmp_path / "out")


def test_show_reads_docids_in_the_other_style(tmp_path: Path) -> None:
    rerank(replace(request(tmp_path / "out", fuse="rrf"), docid_style="castorini"))
    assert read_query(tmp_path / "out", "q").after[:3] == ("d 0", "d 3", "d 1")


def test_the_report_says_that_a_run_is_fused(files: Path) -> None:
    judge = OracleRequest(qrels={"q1": {"a": 1}}, settings=SettingOverrides(fuse="z-score", fuse_weight=0.25))
    rerank(RerankRequest(output=Path("fused"), judge=judge, run=Path("run")))
    assert report("fused", "--run", "run") == 0
    (result,) = Page(files / "page.html").index["results"]
    assert result["fused"] == "z-score, weight 0.25"
    assert report("out") == 0
    assert Page(files / "page.html").index["results"][0]["fused"] == ""


def test_the_command_names_the_nearest_method(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"q": ["a", "b"]}, "t")
    (tmp_path / "qrels").write_text("q 0 b 1\n")
    common = ("rerank", "--run", tmp_path / "run", "--judge", "oracle", "--qrels", tmp_path / "qrels")
    done = reasonrank(*common, "--fuse", "z-scores", "-o", tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "unknown fusion 'z-scores': did you mean 'z-score'" in done.stderr
    done = reasonrank(*common, "--fuse-weight", "0.5", "-o", tmp_path / "out")
    assert "--fuse-weight belongs to --fuse rrf" in done.stderr
    done = reasonrank(*common, "--fuse", "min-max", "--fuse-weight", "0", "-o", tmp_path / "out")
    assert (done.returncode, [hit.id for hit in read_run(tmp_path / "out" / "run.trec")["q"]]) == (
        0,
        ["a", "b"],
    )


class Scoring:
    """A judge of single passages and of groups: the score is the number in the text, the first passage has none."""

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        scores = [float("nan") if d.id == "d 0" else float(d.text.split()[-1]) for d in documents]
        at = sorted(range(len(scores)), key=lambda one: -scores[one] if scores[one] == scores[one] else 1)
        return Verdict(tuple(at), scores=tuple(scores))


def test_rankings_carry_the_scores_of_their_strategy() -> None:
    with Reranker(Scoring(), strategy=Pointwise(), depth=4) as reranker:
        ranking = reranker.rerank("query", DOCUMENTS)
    assert ranking.ids == ("d 3", "d 2", "d 1", "d 0", "d 4", "d 5")
    assert ranking.scores is not None
    assert ranking.scores[:3] == (3.0, 2.0, 1.0)
    assert all(score != score for score in ranking.scores[3:])  # NaN: not scored, not reranked
    assert ranking.deviations is None
    with Reranker(Scoring(), strategy=Groups(2)) as reranker:
        assert (reranker.rerank("query", DOCUMENTS).scores or ())[:2] == (5.0, 4.0)
    with Reranker(OracleJudge(QRELS)) as reranker:
        assert reranker.rerank("query", DOCUMENTS).scores is None


def test_pooled_windows_give_means_with_deviations() -> None:
    with Reranker(OracleJudge(QRELS), strategy=PooledWindows(3)) as reranker:
        ranking = reranker.rerank(Query("q", "x"), DOCUMENTS)
    assert ranking.scores is not None
    assert ranking.deviations is not None
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    assert all(0 < one < 1 for one in ranking.deviations)


def test_a_fused_ranking_keeps_the_scores_with_their_documents() -> None:
    candidates = [Candidate(document, score=10.0 - at) for at, document in enumerate(DOCUMENTS)]
    with Reranker(Scoring(), strategy=Pointwise(), fusion=FirstStageFusion("z-score", 0.0)) as reranker:
        ranking = reranker.rerank("query", candidates)
    assert ranking.ids == tuple(document.id for document in DOCUMENTS)
    assert (ranking.scores or ())[1:] == (1.0, 2.0, 3.0, 4.0, 5.0)
