"""A Lucene index: built once and whole or not at all, and what is none."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from javarun import environment, run
from lucene_kit import ask, cache, corpus

from reasonrank_pyserini.errors import FileFormatError, InputError, ReasonRankError, UnknownNameError
from reasonrank_pyserini.first_stages.lucene import LuceneFirstStage
from reasonrank_pyserini.first_stages.lucene_index import build_index, contents
from reasonrank_pyserini.types import Document

__all__ = ["cache", "corpus"]  # fixtures


def test_what_is_not_an_index_is_one_line(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file, not a folder"):
        LuceneFirstStage(corpus)
    with pytest.raises(InputError, match="there is no index folder"):
        LuceneFirstStage(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"there is no index folder \./nowhere"):
        LuceneFirstStage("./nowhere")
    with pytest.raises(InputError, match=r"is not a Lucene index .*give its documents as `corpus`"):
        LuceneFirstStage(tmp_path)
    with pytest.raises(InputError, match=r"is not a Lucene index .*did you mean .*/index\?"):
        LuceneFirstStage(build_index(corpus).parent)
    (tmp_path / "docid").touch()
    with pytest.raises(InputError, match="`method` dense"):
        LuceneFirstStage(tmp_path)
    (tmp_path / "segments_1").write_bytes(b"not an index")
    with pytest.raises(InputError, match="cannot be opened as a Lucene index") as caught:
        LuceneFirstStage(tmp_path)
    assert "\n" not in str(caught.value)


def test_prebuilt_names_are_pyserinis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bright-biology'"):
        LuceneFirstStage("bright-biolgy")
    with pytest.raises(InputError, match="is a dense index, for `method` dense"):
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
from reasonrank_pyserini.first_stages.lucene_index import build_index
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
    said = [process.communicate(timeout=600)[0] for process in processes]
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
