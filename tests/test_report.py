"""`reasonrank report`: what the page holds, read back from its file, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from report_kit import WritingJudge, corpus, large, rerank

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.judge import OracleJudge
from reasonrank_pyserini.report import Sources, read_result, write_report
from reasonrank_pyserini.types import Document

RUN = {"q1": ["a", "b", "c", "d"], "q2": ["e", "b", "f"]}
QRELS = {"q1": {"d": 1, "z": 1}, "q2": {"e": 1}, "q9": {"x": 1}}
TOPICS = {"q1": "moths and lamps", "q2": "why is glass wet"}
TEXTS = {id: f"passage {id} " + "word " * 80 for id in "abcdef"}


class Page:
    """A written page: its data, unpacked as the script would."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        found = re.search(r'<script type="application/json" id="index">(.*?)</script>', self.text, re.DOTALL)
        assert found is not None
        self.raw_index = found[1]
        self.index: dict[str, Any] = json.loads(found[1])
        packed = re.findall(
            r'<script type="application/octet-stream" id="(\w+)">([\w+/=]*)</script>', self.text
        )
        self.packed = dict(packed)
        self.blocks = {id: json.loads(zlib.decompress(base64.b64decode(data), -15)) for id, data in packed}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rerank(
        Path("out"), RUN, queries=TOPICS, texts=TEXTS, judge=WritingJudge(OracleJudge(QRELS)), window=(2, 1)
    )
    corpus(Path("corpus.jsonl"), TEXTS)
    Path("topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in TOPICS.items()))
    Path("qrels").write_text(
        "".join(f"{q} 0 {d} {g}\n" for q, docs in QRELS.items() for d, g in docs.items())
    )
    Path("run").write_text(
        "".join(f"{q} Q0 {d} {n} {-n} t\n" for q, docs in RUN.items() for n, d in enumerate(docs, 1))
    )
    return tmp_path


EVERYTHING = ("--qrels", "qrels", "--corpus", "corpus.jsonl", "--topics", "topics.tsv")


def report(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments, "-o", "page.html"])
    assert isinstance(end.value.code, int)
    return end.value.code


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
        assert ("going on without" in capsys.readouterr().err) is name.startswith(("beir/", "bright/"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["empty"], "empty holds no trace.jsonl, nor does a folder in it"),
        (["blank"], "blank holds an empty trace"),
        (["foreign"], "foreign/trace.jsonl:1: no 'query_id': not a line of a reranking's trace"),
        (["twisted"], "twisted/trace.jsonl:1: 'order' is no permutation of 'window'"),
        (["endless"], "endless/trace.jsonl:1: 'seconds' is no finite number"),
        (["broken"], "broken/trace.jsonl:1: not JSON"),
        (["out", "-o", "missing/page.html"], "there is no folder"),
        (["out", "-o", "empty"], "-o empty is a folder"),
        (["out", "--qrels", "qrels", "--dataset", "beir/scifact"], "both give judgements"),
        (["out", "--qrels", "qrels", "--qrels-kind", "fixed"], "use it with --dataset"),
        (["out", "--qrels", "other"], "--qrels other has none of the 2 queries"),
        (["out", "--run", "qrels"], "this looks like a qrels file"),
        (["out", "--corpus", "nothing.jsonl"], "nothing.jsonl"),
        (["out", "--passage-chars", "-1"], "--passage-chars"),
        (["board"], "board/leaderboard.json: not a leaderboard"),
        (["manifest"], "manifest/manifest.json: not the manifest of a reranking"),
        ([], "Missing argument 'DIR...'"),
    ],
)
def test_bad_input_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    Path("empty").mkdir()
    Path("other").write_text("q77 0 a 1\n")
    good = (files / "out" / "trace.jsonl").read_text()
    for name, text in (
        ("blank", ""), ("foreign", '{"id": 1}\n'), ("broken", "{\n"), ("board/task", good), ("manifest", good),
        ("endless", '{"query_id": "q", "window": [], "order": [], "status": "CLEAN", "seconds": NaN}\n'),
        ("twisted", '{"query_id": "q", "window": ["a", "b"], "order": ["a", "a"], "status": "CLEAN"}\n'),
    ):  # fmt: skip
        Path(name).mkdir(parents=True)
        (Path(name) / "trace.jsonl").write_text(text)
    Path("board/leaderboard.json").write_text('{"rows": 3}')
    Path("manifest/manifest.json").write_text("[]")
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments, *([] if "-o" in arguments else ["-o", "page.html"])])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1
    assert not Path("page.html").exists()


HOSTILE = (
    "</script><script>document.title='x'</script>",
    "<!--<script>",
    "]]>&lt;img src=x onerror=alert(1)>",
    "\u202eright to left\u2066",
    "nul \0 bell \a",
    "lone \ud800 surrogate",
    "@BLOCKS@\n@INDEX@",
    "long " + "x" * 200_000,
)


def test_hostile_text_stays_inside_the_data(tmp_path: Path) -> None:
    class Judge(WritingJudge):
        pass

    texts = {f"d{n} {text[:60]}": text for n, text in enumerate(HOSTILE)}
    run = {f"q{n}": list(texts) for n in range(2)}
    judge = Judge(OracleJudge({}), lambda q, d, o: "\n".join(HOSTILE) + "<answer>[1]</answer>")
    out = tmp_path / "out"
    safe = {id: text.replace("\0", " ").replace("\n", " ") for id, text in texts.items()}
    ids = {id: f"d{n}" for n, id in enumerate(safe)}
    rerank(out, {q: [ids[d] for d in docs] for q, docs in run.items()}, queries={}, judge=judge)
    queries = {q: " ".join(HOSTILE) for q in run}
    store = Documents({ids[id]: Document(ids[id], text, title=text[:50]) for id, text in safe.items()})
    result = read_result("</script>", out)
    write_report(
        tmp_path / "page.html", [(result, Sources(documents=store, queries=queries))], title=HOSTILE[0]
    )
    page = Page(tmp_path / "page.html")
    assert set(page.raw_index) & set("<>&") == set()
    assert page.text.count("<script>") == 1
    assert page.text.count("</script>") == page.text.count("<script") == 2 + len(page.blocks)
    assert page.index["results"][0]["name"] == "</script>"
    assert page.blocks["s0"]["queries"][0] == queries["q0"]
    assert page.blocks["w0"][0]["strings"][1].startswith("\n".join(HOSTILE)[:100])
    assert max(map(len, page.blocks["t0"])) == 301


class Documents:
    """A docstore in memory."""

    def __init__(self, documents: dict[str, Document]) -> None:
        self.documents = documents

    def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
        return {id: self.documents[id] for id in ids if id in self.documents}


def test_the_page_names_no_other_host_and_only_its_own_script_may_run(files: Path) -> None:
    assert report("out", *EVERYTHING) == 0
    page = Page(files / "page.html")
    own = re.sub(r'<script type="application.*?</script>', "", page.text, flags=re.DOTALL)
    assert re.findall(r"https?:|//[a-z]+\.|url\(|@import|<link|<img|innerHTML|\beval\b|style=", own) == []
    (script,) = re.findall(r"<script>(.*?)</script>", own, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", own, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', own)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_after_a_failure_the_old_page_is_still_there(files: Path) -> None:
    class Broken(Documents):
        def get_many(self, ids: Iterable[str]) -> dict[str, Document]:
            raise InputError("the corpus changed")

    Path("page.html").write_text("old")
    with pytest.raises(InputError, match="the corpus changed"):
        write_report("page.html", [(read_result("out", Path("out")), Sources(documents=Broken({})))])
    assert Path("page.html").read_text() == "old"
    assert [path.name for path in files.iterdir() if "part" in path.name] == []


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
