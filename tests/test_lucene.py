from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from javarun import environment, run

from reasonrank_pyserini.errors import FileFormatError, InputError, ReasonRankError, UnknownNameError
from reasonrank_pyserini.first_stages.anserini import java_text
from reasonrank_pyserini.first_stages.index import build_index, contents
from reasonrank_pyserini.first_stages.lucene import LuceneDocstore, LuceneFirstStage, open_lucene
from reasonrank_pyserini.first_stages.prebuilt import prebuilt_names
from reasonrank_pyserini.first_stages.topics import pyserini_topics, topic_keys
from reasonrank_pyserini.types import Document, Query, ScoredDocument

CORPUS = [
    {"id": "d1", "contents": "time sharing systems"},
    {"id": "d two", "title": "Sharing", "text": "of time and of cost"},
    {"_id": "d3", "title": "", "text": "parallel machines share nothing"},
    {"id": 4, "title": "Trees", "text": "Trees and heaps", "metadata": {"year": 1964}},
    {"id": "d é 😀", "contents": "naïve café 😀 \u0000 sharing \ud800 of 東京"},
    {"id": "blank", "contents": " \n\u3000"},
    {"id": "d6", "contents": "sharing sharing sharing"},
    {"id": "d7", "contents": "nothing of note"},
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("REASONRANK_CACHE", str(folder))
        patch.delenv("REASONRANK_JAVA_HEAP", raising=False)
        yield folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in CORPUS))
    return path


@pytest.fixture(scope="module")
def stage(corpus: Path) -> Iterator[LuceneFirstStage]:
    with open_lucene(corpus=corpus, threads=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def stage_q(corpus: Path) -> Iterator[LuceneFirstStage]:
    with open_lucene(corpus=corpus, method="bm25q", threads=2) as opened:
        yield opened


def ids(hits: Sequence[ScoredDocument]) -> list[str]:
    return [hit.id for hit in hits]


def ask(stage: LuceneFirstStage, text: str, k: int = 10) -> list[str]:
    return ids(stage.candidates([Query("q", text)], k)[0])


def test_cacm_is_anserinis_run_and_scores(shared: Path) -> None:
    import ir_measures
    from ir_measures import AP, P, nDCG

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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_what_is_no_index_is_one_line(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file, not a folder"):
        LuceneFirstStage(corpus)
    with pytest.raises(InputError, match="there is no index folder"):
        LuceneFirstStage(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"there is no index folder \./nowhere"):
        LuceneFirstStage("./nowhere")
    with pytest.raises(InputError, match=r"is not a Lucene index .*give its documents as --corpus"):
        LuceneFirstStage(tmp_path)
    with pytest.raises(InputError, match=r"is not a Lucene index .*did you mean .*/index\?"):
        LuceneFirstStage(build_index(corpus).parent)
    (tmp_path / "docid").touch()
    with pytest.raises(InputError, match="--method dense"):
        LuceneFirstStage(tmp_path)
    (tmp_path / "segments_1").write_bytes(b"not an index")
    with pytest.raises(InputError, match="cannot be opened as a Lucene index") as caught:
        LuceneFirstStage(tmp_path)
    assert "\n" not in str(caught.value)


def test_prebuilt_names_are_pyserinis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {"bright-biology", "msmarco-v1-passage"} <= set(prebuilt_names())
    with pytest.raises(UnknownNameError, match="did you mean 'bright-biology'"):
        LuceneFirstStage("bright-biolgy")
    with pytest.raises(InputError, match="is a dense index, for --method dense"):
        LuceneFirstStage("msmarco-v1-passage.bge-base-en-v1.5")
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(InputError, match="prebuilt index 'bright-biology' cannot be downloaded: ") as caught:
        LuceneFirstStage("bright-biology")
    assert "\n" not in str(caught.value)


def test_an_index_is_built_once_and_nothing_else_is_left(corpus: Path, cache: Path, tmp_path: Path) -> None:
    first = build_index(corpus)
    before = (first / "segments_1").stat().st_mtime_ns
    copy = tmp_path / "other name.jsonl.gz"
    copy.write_bytes(gzip.compress(corpus.read_bytes()))
    assert build_index(corpus) == build_index(str(corpus)) == build_index(copy) == first
    assert (first / "segments_1").stat().st_mtime_ns == before
    assert sorted(path.name for path in first.parent.iterdir()) == ["content.json", "index"]
    assert json.loads((first.parent / "content.json").read_text())["anserini"].startswith("anserini-")


def test_documents_are_indexed_by_identity_or_by_content() -> None:
    documents = [Document("a", "apple"), Document("b", "pear", "Fruit"), Document("a", "second of its id")]
    by_content = build_index(documents)
    assert build_index(list(documents)) == by_content
    assert build_index(documents[:2]) != by_content
    named = build_index(documents, {"dataset": "fruit", "revision": "1"})
    assert named != by_content
    assert build_index(iter(()), {"dataset": "fruit", "revision": "1"}) == named  # read no more
    with LuceneFirstStage.from_documents(documents, method="bm25q") as stage:
        assert [ask(stage, text) for text in ("apple", "second", "fruit")] == [["a"], [], ["b"]]
    with pytest.raises(InputError, match="nothing to index"):
        build_index([Document("a", " ")])
    assert contents(Document("x", "Trees and heaps", "Trees")) == "Trees and heaps"
    assert contents(Document("x", "heaps", "Trees")) == "Trees\nheaps"


def test_a_bad_corpus_is_a_file_and_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "a", "contents": "apple"}\n{"id": "b"\n')
    with pytest.raises(FileFormatError, match=r"bad\.jsonl:2: "):
        build_index(bad)
    with pytest.raises(InputError, match=r"there is no corpus .*bad\.jsonl"):
        build_index(tmp_path / "bd.jsonl")
    assert [
        path for path in (tmp_path / "cache").rglob("*") if "lucene" in path.parts and path.is_dir()
    ] == []


def test_anserinis_failure_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path))
    monkeypatch.setenv("REASONRANK_JAVA_HEAP", "2m")
    with pytest.raises(ReasonRankError, match="Anserini could not build an index") as caught:
        build_index([Document("a", "apple")])
    assert "\n" not in str(caught.value)
    assert [path.suffix for path in (tmp_path / "lucene").iterdir()] == [".lock"]


BUILD = """
import sys
from reasonrank_pyserini.first_stages.index import build_index
from reasonrank_pyserini.types import Document
print("started", flush=True)
print(build_index([Document(str(n), f"text {n} " * 20) for n in range(int(sys.argv[1]))]))
"""


def test_two_processes_build_one_index(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, "300"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(REASONRANK_CACHE=str(tmp_path)),
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0] == said[1]
    assert len([path for path in (tmp_path / "lucene").iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_build_leaves_no_index_and_the_next_one_works(
    tmp_path: Path, number: signal.Signals
) -> None:
    def finished() -> list[Path]:
        return [path for path in (tmp_path / "lucene").glob("*/index") if ".part-" not in path.parent.name]

    with subprocess.Popen(
        [sys.executable, "-c", BUILD, "60000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(REASONRANK_CACHE=str(tmp_path)),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not list((tmp_path / "lucene").glob("*.part-*/parts/*.jsonl")) and process.poll() is None:
            threading.Event().wait(0.01)
        process.send_signal(number)
    assert finished() == []
    if number is signal.SIGINT:
        assert [path.suffix for path in (tmp_path / "lucene").iterdir()] == [".lock"]
    done = run(BUILD, 50, REASONRANK_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in finished()] == done.stdout.split()[1:]


def test_texts_come_back_from_the_index(corpus: Path, stage: LuceneFirstStage) -> None:
    store = LuceneDocstore(stage.folder)
    found = store.get_many(["d two", "nope", "d é 😀", "4", "d3", "blank", "\ud800", "4"])
    assert list(found.values()) == [
        Document("d two", "of time and of cost", "Sharing"),
        Document("d é 😀", "naïve café 😀 \u0000 sharing \ufffd of 東京"),
        Document("4", "Trees and heaps", "Trees"),
        Document("d3", "parallel machines share nothing"),
    ]
    assert list(found) == ["d two", "d é 😀", "4", "d3"]
    assert store.get_many([]) == {}
    assert sorted(document.id for document in store) == sorted(
        ["d1", "d two", "d3", "4", "d é 😀", "d6", "d7"]
    )
    assert len(store) == 7
    store.close()


def test_bulk_reading_is_complete() -> None:
    documents = [Document(f"id {n}", f"text number {n}") for n in range(1500)]
    store = LuceneDocstore(build_index(documents))
    assert store.get_many(document.id for document in documents) == {one.id: one for one in documents}
    assert {one.id: one for one in store} == {one.id: one for one in documents}


@pytest.mark.parametrize("option", [None, "-storeContents"])
def test_an_index_without_sources(tmp_path: Path, stage: LuceneFirstStage, option: str | None) -> None:
    from reasonrank_pyserini.java import ensure_java
    from reasonrank_pyserini.javahome import anserini_jar

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "docs.jsonl").write_text('{"id": "a", "contents": "apple pie"}\n')
    subprocess.run(
        [str(ensure_java().command), "-cp", str(anserini_jar()), "io.anserini.index.IndexCollection", "-collection",
         "JsonCollection", "-input", str(tmp_path / "in"), "-index", str(tmp_path / "out"),
         *([option] if option else [])],
        check=True, capture_output=True,
    )  # fmt: skip
    store = LuceneDocstore(tmp_path / "out")
    if option:
        assert store.get_many(["a"]) == {"a": Document("a", "apple pie")}
    else:
        with pytest.raises(InputError, match="stores no texts: build it with --storeRaw"):
            store.get_many(["a"])


TOPICS = """
from reasonrank_pyserini.first_stages.topics import pyserini_topics
from reasonrank_pyserini.errors import InputError
try:
    print([(query.id, query.text) for query in pyserini_topics("dl20")])
except InputError as error:
    print(error)
"""


def test_topics_by_pyserinis_key(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "pyserini" / "topics-and-qrels"
    folder.mkdir(parents=True)
    unreachable = {
        "JAVA_TOOL_OPTIONS": f"-Duser.home={tmp_path}",
        "https_proxy": "http://127.0.0.1:9",
        "HOME": str(tmp_path),
    }
    done = run(TOPICS, **unreachable)
    assert done.stdout.startswith("topics 'dl20' cannot be read: ")
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    (folder / "topics.dl20.txt").write_text(
        "1030303\twho is aziz hashim\n23849\tare naturalization records public\n"
    )
    done = run(TOPICS, **unreachable)
    assert (
        done.stdout == "[('23849', 'are naturalization records public'), ('1030303', 'who is aziz hashim')]\n"
    )
    assert done.stderr == ""


def test_unknown_topics_name_the_nearest() -> None:
    assert {"dl20", "bright-biology"} <= set(topic_keys())
    with pytest.raises(UnknownNameError, match="did you mean 'bright-biology'"):
        pyserini_topics("bright-bology")


def test_the_environment_is_left_as_it_was() -> None:
    assert os.environ.get("OPENAI_API_KEY") != "unset"
