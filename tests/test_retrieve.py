from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from reasonrank_pyserini.cli import main
from reasonrank_pyserini.runfile import read_run

TESTS = Path(__file__).parent
CORPUS = {
    "d1": "a cat sleeps on the warm sofa",
    "d2": "the stock market fell sharply today",
    "d 3": "kittens like milk and a cat likes mice",
    "d4": "bonds and shares lost value on the stock exchange",
    "d5": "the recipe needs flour butter and sugar",
}
TOPICS = {"q1": "cat milk", "q2": "stock market", "q3": "", "q4": "zebra"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a corpus, topics, exclusions and two runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    lines = [json.dumps({"id": id, "contents": text}) for id, text in CORPUS.items()]
    Path("corpus.jsonl").write_text("\n".join(lines) + "\n")
    Path("topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in TOPICS.items()))
    Path("excluded.txt").write_text("q1 d 3\nq2 d2\n")
    Path("a.trec").write_text("q1 Q0 d1 1 9 a\nq1 Q0 d 3 2 8 a\nq1 Q0 d5 3 7 a\nq2 Q0 d4 1 3 a\n")
    Path("b.trec.gz").write_bytes(gzip.compress(b"q1 Q0 d 3 1 0.9 b\nq1 Q0 d2 2 0.1 b\nq9 Q0 d2 1 5 b\n"))
    return tmp_path


@pytest.fixture
def retrieve(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["retrieve", *arguments])
        out, err = capfd.readouterr()
        return int(str(end.value.code or 0)), out, err

    return run


Retrieve = Callable[..., tuple[int, str, str]]
SEARCH = ("--corpus", "corpus.jsonl", "--topics", "topics.tsv")
WORDS = ("--encoder", "words", "--encoder-class", "test_dense:OwnEncoder")


def docids(path: str = "out.trec") -> dict[str, list[str]]:
    return {query: [hit.id for hit in hits] for query, hits in read_run(path).items()}


def test_bm25_over_a_corpus_builds_then_reuses_its_index(files: Path, retrieve: Retrieve) -> None:
    status, out, err = retrieve(*SEARCH, "--method", "bm25", "--k", "2", "-o", "out.trec")
    assert (status, out) == (0, "")
    assert docids() == {"q1": ["d 3", "d1"], "q2": ["d2", "d4"]}
    assert "(built now)" in err
    assert "4 queries, 4 candidates; 2 queries empty, 0 with fewer than 2" in err
    status, out, err = retrieve(*SEARCH, "--method", "bm25", "--k", "2", "-o", "-")
    assert (status, out) == (0, Path("out.trec").read_text())
    assert "(reused)" in err


def test_excluded_documents_leave_and_k_remain(files: Path, retrieve: Retrieve) -> None:
    for method in (("bm25",), ("bm25q",), ("dense", *WORDS)):
        status, _, err = retrieve(
            *SEARCH, "--method", *method, "-k", "1", "--excluded", "excluded.txt", "-o", "out.trec"
        )
        assert (status, docids()["q1"], docids()["q2"]) == (0, ["d1"], ["d4"]), err


def test_dense_with_an_encoder_of_the_users_own(files: Path, retrieve: Retrieve) -> None:
    status, _, err = retrieve(*SEARCH, "--method", "dense", *WORDS, "--k", "10", "-o", "out.trec")
    assert status == 0
    found = docids()
    assert {query: hits[0] for query, hits in found.items() if query in ("q1", "q2")} == {
        "q1": "d 3",
        "q2": "d2",
    }
    assert sorted(found) == ["q1", "q2", "q4"]  # every query with a text finds all five
    assert "1 queries empty, 3 with fewer than 10" in err


def test_methods_fused_are_the_runs_fused(files: Path, retrieve: Retrieve) -> None:
    assert retrieve(*SEARCH, "--method", "bm25", "-o", "bm25.trec")[0] == 0
    assert retrieve(*SEARCH, "--method", "dense", *WORDS, "-o", "dense.trec")[0] == 0
    for fuse in (("rrf", "--rrf-k", "7"), ("weighted", "--weights", "0.3", "0.7")):
        both = retrieve(*SEARCH, "--method", "bm25", "dense", *WORDS, "--fuse", *fuse, "-o", "live.trec")
        runs = retrieve(
            "--run", "bm25.trec", "dense.trec", "--topics", "topics.tsv", "--fuse", *fuse, "-o", "runs.trec"
        )
        assert (both[0], runs[0]) == (0, 0)
        assert docids("live.trec") == docids("runs.trec")


def test_runs_alone_need_no_collection(files: Path, retrieve: Retrieve) -> None:
    status, _, err = retrieve(
        "--run", "a.trec", "b.trec.gz", "--fuse", "rrf", "--tag", "both", "-o", "out.trec"
    )
    assert status == 0
    assert docids() == {"q1": ["d 3", "d1", "d2", "d5"], "q2": ["d4"], "q9": ["d2"]}
    first = Path("out.trec").read_text().splitlines()[0]
    assert first == f"q1 Q0 d 3 1 {1 / 62 + 1 / 61!r} both"
    assert "3 queries, 6 candidates" in err


def test_one_run_is_cut_and_filtered(files: Path, retrieve: Retrieve) -> None:
    status, out, _ = retrieve("--run", "a.trec", "--excluded", "excluded.txt", "-k", "2", "-o", "-")
    assert status == 0
    assert out == "q1 Q0 d1 1 9.0 run\nq1 Q0 d5 2 7.0 run\nq2 Q0 d4 1 3.0 run\n"


def test_duplicates_of_a_run_are_counted(files: Path, retrieve: Retrieve) -> None:
    Path("twice.trec").write_text("q1 Q0 d1 1 9 a\nq1 Q0 d1 2 8 a\n")
    status, out, err = retrieve("--run", "twice.trec", "-o", "-")
    assert (status, out) == (0, "q1 Q0 d1 1 9.0 run\n")
    assert "twice.trec: 1 duplicate document" in err


def test_topics_say_which_queries_of_a_run_count(files: Path, retrieve: Retrieve) -> None:
    Path("one.tsv").write_text("q2\tstock market\nq7\tnew\n")
    status, out, err = retrieve("--run", "a.trec", "--topics", "one.tsv", "-o", "-")
    assert (status, out) == (0, "q2 Q0 d4 1 3.0 run\n")
    assert "2 queries, 1 candidates; 1 queries empty" in err


def test_a_beir_folder_is_a_dataset(files: Path, retrieve: Retrieve) -> None:
    folder = files / "mine"
    (folder / "qrels").mkdir(parents=True)
    corpus = [json.dumps({"_id": id, "title": "", "text": text}) for id, text in CORPUS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    queries = [json.dumps({"_id": id, "text": text}) for id, text in TOPICS.items()]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    status, _, err = retrieve("--dataset", str(folder), "--method", "bm25", "-o", "out.trec")
    assert (status, docids()) == (0, {"q1": ["d 3", "d1"]}), err


def test_an_index_folder_of_each_kind(files: Path, retrieve: Retrieve) -> None:
    for method in (("bm25",), ("dense", *WORDS)):
        _, built, err = retrieve(*SEARCH, "--method", *method, "-o", "-")
        folder = re.findall(r"index (\S+) \(built now\)", err)[0]
        status, again, err = retrieve(
            "--index", folder, "--topics", "topics.tsv", "--method", *method, "-o", "-"
        )
        assert (status, again) == (0, built), err


OK = ("--run", "a.trec", "-o", "out.trec")
REFUSED = {
    "no first stage: give --method": (*SEARCH, "-o", "out.trec"),
    "unknown method 'bm52': did you mean 'bm25'?": (*SEARCH, "--method", "bm52", "-o", "out.trec"),
    "no collection: give one of --dataset ID": ("--topics", "topics.tsv", "--method", "bm25", "-o", "out.trec"),
    "--index and --corpus exclude each other": (*SEARCH, "--index", "x", "--method", "bm25", "-o", "out.trec"),
    "no queries: add --topics": ("--corpus", "corpus.jsonl", "--method", "bm25", "-o", "out.trec"),
    "k is 0: give at least 1": (*OK, "--k", "0"),
    "there is no corpus nowhere.jsonl": ("--corpus", "nowhere.jsonl", *SEARCH[2:], "--method", "bm25", "-o", "o"),
    "there is no topics file topics.tvs: did you mean topics.tsv": (
        *SEARCH[:2], "--topics", "topics.tvs", "--method", "bm25", "-o", "out.trec",
    ),
    "unknown topics 'dl2O'": (*SEARCH[:2], "--topics", "dl2O", "--method", "bm25", "-o", "out.trec"),
    "unknown dataset 'brigth/biology': did you mean 'bright/biology'?": (
        "--dataset", "brigth/biology", "--method", "bm25", "-o", "out.trec",
    ),
    "there is no file c.trec": ("--run", "c.trec", "-o", "out.trec"),
    "there is no file of excluded documents none.txt": (*OK, "--excluded", "none.txt"),
    "cache is a folder: give a file in it": ("--run", "a.trec", "-o", "cache"),
    "there is no folder": ("--run", "a.trec", "-o", "missing/out.trec"),
    "2 first stages: give --fuse rrf": ("--run", "a.trec", "b.trec.gz", "-o", "out.trec"),
    "unknown fusion 'rff': did you mean 'rrf'?": ("--run", "a.trec", "b.trec.gz", "--fuse", "rff", "-o", "out.trec"),
    "1 weights for 2 first stages": (
        "--run", "a.trec", "b.trec.gz", "--fuse", "rrf", "--weights", "1", "-o", "out.trec",
    ),
    "--weights belongs to --fuse": (*OK, "--weights", "1"),
    "rrf_k is -1": (*OK, "--fuse", "rrf", "--rrf-k", "-1"),
    "--depth is 0": (*OK, "--fuse", "rrf", "--depth", "0"),
    "--threads is 0": (*OK, "--threads", "0"),
    "needs --encoder": (*SEARCH, "--method", "dense", "-o", "out.trec"),
    "there is no folder '/no/model'": (*SEARCH, "--method", "dense", "--encoder", "/no/model", "-o", "out.trec"),
    "is not a size": (*OK, "--heap", "lots"),
    "Missing option '-o'": ("--run", "a.trec"),
    "No such option": (*OK, "--methods", "bm25"),
    "k1 is -1": (*SEARCH, "--method", "bm25", "--k1", "-1", "-o", "out.trec"),
    "the tag 'two words'": (*OK, "--tag", "two words"),
}  # fmt: skip


@pytest.mark.parametrize("problem", REFUSED)
def test_bad_input_is_one_line_and_exit_2(files: Path, retrieve: Retrieve, problem: str) -> None:
    (files / "cache").mkdir()
    status, out, err = retrieve(*REFUSED[problem])
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1
    assert err.startswith("reasonrank: ")
    assert not Path("out.trec").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(files: Path, retrieve: Retrieve) -> None:
    status, _, err = retrieve(*SEARCH, "--method", "bm25", "-o", "missing/out.trec")
    assert (status, "there is no folder" in err) == (2, True)
    assert not (files / "cache").exists()


def test_a_cache_that_cannot_be_used_is_one_line(
    files: Path, retrieve: Retrieve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONRANK_CACHE", str(files / "corpus.jsonl"))
    for method in (("bm25",), ("dense", *WORDS)):
        status, _, err = retrieve(*SEARCH, "--method", *method, "-o", "out.trec")
        assert (status, err.count("\n")) == (2, 1)
        assert "name another folder in REASONRANK_CACHE" in err


def test_a_result_is_replaced_whole_or_not_at_all(files: Path, retrieve: Retrieve) -> None:
    Path("out.trec").write_text("old")
    Path("bad.trec").write_text("q1 Q0 d1 1 nan a\n")
    assert retrieve("--run", "bad.trec", "-o", "out.trec")[0] == 2
    assert Path("out.trec").read_text() == "old"
    assert retrieve("--run", "a.trec", "-o", "out.trec")[0] == 0
    assert docids()["q2"] == ["d4"]
    assert [path.name for path in files.glob(".*part*")] == []


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from reasonrank_pyserini.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "retrieve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", **environment},
    )


def test_standard_output_holds_the_run_alone(files: Path) -> None:
    """In a process of its own: the JVM starts and ends there, and an encoder prints at descriptor level."""
    done = command(
        *SEARCH, "--method", "bm25", "dense", "--encoder", "words", "--encoder-class", "test_retrieve:Loud",
        "--fuse", "rrf", "-o", "-", "-k", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["q1", "q1", "q2", "q2", "q4", "q4"]
    assert all(line.endswith(" bm25-dense-rrf") for line in lines)
    assert "noise of a library" in done.stderr


class Loud:
    """An encoder that prints where it should not."""

    def __init__(self, spec: object) -> None:
        from test_dense import WordsEncoder

        self.words = WordsEncoder()
        self.identity = self.words.identity
        os.write(1, b"noise of a library\n")

    def encode_passages(self, documents: object) -> object:
        print("noise of a library")
        return self.words.encode_passages(documents)  # type: ignore[arg-type]

    def encode_queries(self, texts: object) -> object:
        return self.words.encode_queries(texts)  # type: ignore[arg-type]


def test_a_closed_standard_output_is_refused(files: Path) -> None:
    code = "from reasonrank_pyserini.cli import main; main()"
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c '{code}' retrieve --run a.trec -o - >&-"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard output is closed" in done.stderr


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_interrupted_leaves_no_index(files: Path, sign: int, status: int) -> None:
    code = "from reasonrank_pyserini.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "retrieve", *SEARCH, "--method", "dense", "--encoder", "words",
         "--encoder-class", "test_retrieve:Slow", "-o", "out.trec"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "encoding" in process.stderr.readline()
        process.send_signal(sign)
        rest = process.stderr.read()
    assert process.returncode == status
    assert "Traceback" not in rest
    assert [path for path in (files / "cache" / "dense").iterdir() if path.is_dir()] == []
    assert not Path("out.trec").exists()


class Slow:
    """An encoder that says when it begins and does not end."""

    identity: ClassVar[dict[str, str]] = {"name": "slow"}

    def __init__(self, spec: object) -> None:
        pass

    def encode_passages(self, documents: object) -> object:
        os.write(2, b"encoding\n")
        time.sleep(600)
        raise AssertionError("never stopped")


def test_a_reader_that_stops_early_causes_no_traceback(files: Path) -> None:
    Path("long.trec").write_text("".join(f"q{n} Q0 d{n} 1 1 a\n" for n in range(50_000)))
    code = "from reasonrank_pyserini.cli import main; main()"
    pipe = f"{sys.executable} -c '{code}' retrieve --run long.trec -o - | head -1"
    done = subprocess.run(
        ["bash", "-c", pipe],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )
    assert done.stdout == "q0 Q0 d0 1 1.0 run\n"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_cacm_equals_anserinis_figures(
    shared: Path, files: Path, retrieve: Retrieve, cacm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reasonrank_pyserini.runfile import read_qrels
    from reasonrank_pyserini.scoring import score

    monkeypatch.setenv("REASONRANK_CACHE", str(cacm_cache))
    cacm = shared / "collections" / "cacm"
    status, _, err = retrieve(
        "--corpus", str(cacm / "corpus.jsonl"), "--topics", str(cacm / "topics.tsv"), "--method", "bm25",
        "--k", "1000", "-o", "bm25.trec",
    )  # fmt: skip
    assert status == 0, err
    scores = score(read_qrels(cacm / "qrels.txt"), read_run("bm25.trec"), ["AP", "P@30", "nDCG@10"])
    means = {str(name): round(value, 4) for name, value in scores.means.items()}
    assert means == {"AP": 0.3123, "P@30": 0.1942, "nDCG@10": 0.4543}
    assert docids("bm25.trec") == docids(str(cacm / "run.bm25.txt.gz"))
