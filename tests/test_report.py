"""`reasonrank report`: what the page holds, read back from its file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from page_kit import EVERYTHING, QRELS, RUN, TEXTS, TOPICS, Documents, Page, files, report
from report_kit import WritingJudge, corpus, large, rerank

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.report import ReportRequest, ReportResult, build
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.types import Document, Query

__all__ = ["files"]  # fixture


def test_the_summary_scores_before_and_after(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report("out", *EVERYTHING) == 0
    page = Page(files / "page.html")
    (result,) = page.index["results"]
    rr = next(row for row in result["scores"] if row["measure"] == "RR@10")
    assert rr["before"][0] == pytest.approx((1 / 4 + 1) / 2)
    assert rr["after"][0] == 1.0
    assert rr["difference"][0] == pytest.approx(3 / 8)
    assert rr["difference"][1] <= 3 / 8 <= rr["difference"][2]
    assert rr["counts"] == [1, 1, 0]
    assert (result["left_out"], result["qrels"]) == (1, "qrels")
    assert result["statuses"] == {"CLEAN": 3 + 2}
    assert result["windows"] == page.index["results"][0]["statuses"]["CLEAN"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"note: page.html: 2 queries, \d\.\d MB\n", captured.err)


def test_a_query_holds_orders_grades_texts_and_windows(files: Path) -> None:
    assert report("out", *EVERYTHING) == 0
    page = Page(files / "page.html")
    search, block = page.blocks["s0"], page.blocks["w0"][0]
    ids = [search["ids"][place] for place in search["lists"][0]]
    assert ids == RUN["q1"]
    assert [ids[place] for place in block["after"]] == ["d", "a", "b", "c"]
    assert block["grades"] == [None, None, None, 1]
    assert block["relevant"] == 2
    shown = [[ids[place] for place in window["s"]] for window in block["windows"]]
    assert shown == [["c", "d"], ["b", "d"], ["a", "d"]]
    assert block["windows"][0]["o"] == [1, 0]
    assert "[2] fits because it speaks of d." in block["strings"][block["windows"][0]["r"]]
    assert block["strings"][block["windows"][0]["a"]] == "<answer> [2] > [1] </answer>"
    assert search["queries"] == list(TOPICS.values())
    assert page.blocks["t0"][0] == TEXTS["a"][:300] + "…"


def test_a_passage_of_two_queries_is_kept_once(files: Path) -> None:
    assert report("out", *EVERYTHING) == 0
    blocks = Page(files / "page.html").blocks
    assert len(blocks["t0"]) == len(set(RUN["q1"] + RUN["q2"]))
    first, second = (query["texts"] for query in blocks["w0"])
    assert second[RUN["q2"].index("b")] == first[RUN["q1"].index("b")]


def test_a_passage_of_another_group_is_found_there(files: Path) -> None:
    run = {f"q{number}": [f"own{number}", "shared"] for number in range(20)}
    rerank(Path("many"), run, queries={}, judge=WritingJudge(OracleJudge({})))
    texts = {id: f"text of {id}" for docs in run.values() for id in docs}
    corpus(Path("many.jsonl"), texts)
    assert report("many", "--corpus", "many.jsonl") == 0
    page = Page(files / "page.html")
    group = page.index["group"]
    place, position = page.blocks[f"w{19 // group}"][19 % group]["texts"][1]
    assert page.blocks[f"t{place}"][position] == "text of shared"
    assert sum(len(block) for id, block in page.blocks.items() if id.startswith("t")) == 20 + 1


def test_without_judgements_and_texts_there_are_docids(files: Path) -> None:
    assert report("out") == 0
    page = Page(files / "page.html")
    assert page.index["results"][0]["scores"] == []
    assert [query["a"] for query in page.index["queries"]] == [None, None]
    assert page.blocks["w0"][0]["texts"] == [None] * 4
    assert "t0" not in page.blocks


def test_the_first_stage_run_decides_the_order_before(files: Path) -> None:
    Path("run").write_text("q1 Q0 d 1 9 t\nq1 Q0 a 2 8 t\nq1 Q0 y 3 7 t\nq2 Q0 e 1 1 t\n")
    assert report("out", "--run", "run", "--qrels", "qrels") == 0
    page = Page(files / "page.html")
    search = page.blocks["s0"]
    ids = [search["ids"][place] for place in search["lists"][0]]
    assert ids == ["d", "a", "y", "b", "c"]
    assert [ids[place] for place in page.blocks["w0"][0]["after"]] == ["d", "a", "b", "c"]
    assert page.index["results"][0]["scores"][2]["before"][0] == 1.0


def test_passage_chars(files: Path) -> None:
    assert report("out", *EVERYTHING, "--passage-chars", "9") == 0
    assert Page(files / "page.html").blocks["t0"][0] == "passage a…"
    assert report("out", *EVERYTHING, "--passage-chars", "0") == 0
    assert "t0" not in Page(files / "page.html").blocks


def test_a_failed_window_is_counted_and_told(files: Path) -> None:
    judge = WritingJudge(OracleJudge(QRELS), failing=frozenset({("q1", 1)}))
    rerank(Path("failed"), RUN, queries=TOPICS, judge=judge, window=(2, 1))
    assert report("failed") == 0
    page = Page(files / "page.html")
    (result,) = page.index["results"]
    assert (result["errors"], result["statuses"]["FAILED"]) == (1, 1)
    assert result["messages"] == [["RuntimeError: the server said no", 1]]
    assert page.blocks["w0"][0]["windows"][1]["e"] == "RuntimeError: the server said no"
    assert [query["e"] for query in page.index["queries"]] == [1, 0]


def test_a_run_that_is_still_going(files: Path) -> None:
    out = Path("out")
    lines = (out / "trace.jsonl").read_text().splitlines(keepends=True)
    (out / "trace.jsonl").unlink()
    (out / "trace.jsonl.part").write_text("".join(lines[:2]) + lines[2][:20])
    for name in ("run.trec", "manifest.json"):
        (out / name).unlink()
    assert report("out") == 0
    (result,) = Page(files / "page.html").index["results"]
    assert (result["finished"], result["windows"]) == (False, 2)


def test_folders_one_level_down_and_their_leaderboard(files: Path) -> None:
    judge = WritingJudge(OracleJudge(QRELS))
    for task in ("biology", "economics"):
        rerank(Path("all") / task, RUN, queries=TOPICS, judge=judge, window=(2, 1))
    row = {"task": "biology", "queries": 2, "first_stage": 0.43, "ours": 0.5, "published": 56.7, "difference": -56.2,
           "low": 0.1, "high": 0.7, "verdict": "reproduced"}  # fmt: skip
    board = {
        "condition": "c",
        "rows": [row],
        "average": row,
        "qrels_kind": "plain",
        "source": "s",
        "footnotes": ["n"],
    }
    (Path("all") / "leaderboard.json").write_text(json.dumps(board))
    assert report("all", "--qrels", "qrels") == 0
    index = Page(files / "page.html").index
    assert [result["name"] for result in index["results"]] == ["biology", "economics"]
    assert [query["r"] for query in index["queries"]] == [0, 0, 1, 1]
    assert index["all"][0]["queries"] == 2 * 2
    (found,) = index["leaderboards"]
    assert found["rows"][0]["published"] == pytest.approx(56.7)
    assert found["average"]["ours"] == 0.5, "a low score is not a fraction"
    assert report("all/biology", "all/economics", "out") == 0
    assert len(Page(files / "page.html").index["results"]) == 3


def test_the_data_set_of_the_reranking_is_taken_when_it_is_here(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beir = Path("beir")
    (beir / "qrels").mkdir(parents=True)
    corpus(beir / "corpus.jsonl", TEXTS)
    (beir / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in TOPICS.items())
    )
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td\t1\nq2\te\t1\n")
    manifest = json.loads((files / "out" / "manifest.json").read_text())
    here = {"./beir": "moths and lamps", "beir/scifact/test": "", "bright/biology": "", "os:getcwd": ""}
    for name, seen in here.items():
        (files / "out" / "manifest.json").write_text(json.dumps({**manifest, "inputs": {"dataset": name}}))
        with pytest.MonkeyPatch.context() as patch:
            for variable in ("IR_DATASETS_HOME", "HF_HUB_CACHE", "REASONRANK_CACHE"):
                patch.setenv(variable, str(files / "nothing"))
            patch.setattr("socket.socket.connect", lambda *_: pytest.fail("a server was asked"))
            assert report("out") == 0
        assert Page(files / "page.html").index["queries"][0]["q"] == seen
        assert ("not on this machine" in capsys.readouterr().err) is name.startswith(("beir/", "bright/"))


def test_the_library_writes_the_page_of_the_command(files: Path) -> None:
    assert report("out", *EVERYTHING, "--run", "run", "--title", "moths") == 0
    given = {"qrels": "qrels", "corpus": "corpus.jsonl", "topics": "topics.tsv", "run": "run"}
    said: list[str] = []
    found = build(ReportRequest(folders=["out"], output="same.html", title="moths", **given), say=said.append)
    assert found == ReportResult("same.html", ("out",), 2)
    assert said == []
    assert Path("same.html").read_bytes() == Path("page.html").read_bytes()


def test_the_library_takes_objects(files: Path) -> None:
    documents = Documents({id: Document(id, text) for id, text in TEXTS.items()})
    queries = [Query(id, text) for id, text in TOPICS.items()]
    requests = {
        "files.html": {"qrels": Path("qrels"), "corpus": "corpus.jsonl", "topics": Path("topics.tsv"), "run": "run"},
        "objects.html": {"qrels": QRELS, "corpus": documents, "topics": queries, "run": RUN},
        "mapping.html": {"qrels": QRELS, "corpus": list(documents), "topics": TOPICS, "run": RUN},
    }  # fmt: skip
    for name, given in requests.items():
        build(ReportRequest(folders=[Path("out")], output=Path(name), **given))
    first, *others = (Page(files / name) for name in requests)
    for page in others:
        assert page.blocks == first.blocks
        assert page.index["queries"] == first.index["queries"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"qrels": "qrels", "dataset": "nano/test"}, "`dataset` and `qrels` both give judgements"),
        ({"qrels": "qrels", "qrels_kind": "fixed"}, "`qrels_kind` chooses"),
        ({"index": "x", "corpus": "corpus.jsonl"}, "`index` and `corpus` exclude each other"),
        ({"qrels": {"q77": {"a": 1}}}, "`qrels`: none of the 2 reranked queries is there, e.g. 'q1'"),
        ({"run": {"q77": ["a"]}}, "`run`: none of the 2 reranked queries"),
        ({"topics": {"q77": "moths"}}, "`topics`: none of the 2 reranked queries"),
    ],
)
def test_the_library_names_settings_not_options(files: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as raised:
        build(ReportRequest(folders=["out"], output="page.html", **changes))
    assert "--" not in str(raised.value)
    assert not Path("page.html").exists()


def test_two_pages_of_the_same_result_are_equal(files: Path) -> None:
    assert report("out", *EVERYTHING) == 0
    first = Path("page.html").read_bytes()
    assert report("out", *EVERYTHING) == 0
    assert Path("page.html").read_bytes() == first


def test_all_of_bright_stays_below_40_mb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    part = 64
    made = large(tmp_path / "large", part)
    assert report(str(made["out"]), "--corpus", str(made["corpus"]), "--topics", str(made["topics"])) == 0
    page = Page(tmp_path / "page.html")
    assert page.index["results"][0]["windows"] == part * 9
    fixed = len(page.text) - len(page.raw_index) - sum(map(len, page.packed.values()))
    assert fixed < 150_000
    assert (len(page.text) - fixed) * 1384 / part + fixed < 40e6
