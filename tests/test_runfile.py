from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import os
import re
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reasonrank_pyserini.errors import FileFormatError, InputError, OutputError
from reasonrank_pyserini.files.atomic import atomic_open
from reasonrank_pyserini.files.qrels import read_qrels_report
from reasonrank_pyserini.files.runs import read_run_report
from reasonrank_pyserini.files.trec import write_scored_run
from reasonrank_pyserini.runfile import read_qrels, read_run, write_run
from reasonrank_pyserini.types import ScoredDocument


def written(tmp_path: Path, content: str | bytes, name: str = "file.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def ids(run: dict[str, list[ScoredDocument]]) -> dict[str, list[str]]:
    return {query: [one.id for one in documents] for query, documents in run.items()}


def float32(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


# ---- reading runs

PLAIN = "q2 Q0 d1 1 0.5 tag\nq1 Q0 d9 1 2e0 tag\nq2 Q0 d3 2 .75 tag\nq1 Q0 d1 7 -1 tag\n"
PARSED = {
    "q2": [ScoredDocument("d1", 0.5), ScoredDocument("d3", 0.75)],
    "q1": [ScoredDocument("d9", 2.0), ScoredDocument("d1", -1.0)],
}


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(" ", "\t"),
        PLAIN.replace(" ", "  "),
        "\ufeff" + PLAIN,
        "\n \n" + PLAIN.replace("\n", "\n\n"),
        gzip.compress(PLAIN.encode(), mtime=0),
        gzip.compress(PLAIN[:40].encode(), mtime=0) + gzip.compress(PLAIN[40:].encode(), mtime=0),
    ],
)
def test_lines_keep_their_order_and_scores(tmp_path: Path, content: str | bytes) -> None:
    found = read_run(written(tmp_path, content))
    assert found == PARSED
    assert list(found) == ["q2", "q1"]


def test_the_name_says_nothing_about_compression(tmp_path: Path) -> None:
    assert read_run(written(tmp_path, PLAIN, "run.gz")) == PARSED


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(PLAIN.encode()))))
    assert read_run("-") == PARSED


@pytest.mark.parametrize(
    ("line", "document"),
    [
        ("q Q0 a/Memory Management_2_0.txt 7 0.5 tag", "a/Memory Management_2_0.txt"),
        ("q Q0 two  blanks 7 0.5 tag", "two  blanks"),
        ("q Q0 a\ttab 7 0.5 tag", "a\ttab"),
        ("q\tQ0\ta b\t7\t0.5\ttag", "a b"),
        ("q Q0 no\u00a0break 7 0.5 tag", "no\u00a0break"),
        ("q Q0 doc 7 0.5 my long tag", "doc"),
        ("q Q0 doc 1 2 7 0.5 tag", "doc 1 2"),
        ("q Q0 d\u00fcne \u6587 7 0.5 tag", "d\u00fcne \u6587"),
    ],
)
def test_document_ids_may_hold_blanks(tmp_path: Path, line: str, document: str) -> None:
    assert read_run(written(tmp_path, line)) == {"q": [ScoredDocument(document, 0.5)]}


def test_of_a_repeated_document_the_first_line_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "q Q0 a 1 9 t\nq Q0 b 2 8 t\nq Q0 a 3 7 t\nr Q0 a 1 5 t\nq Q0 a 4 6 t\n")
    report = read_run_report(path)
    assert report.run == {
        "q": [ScoredDocument("a", 9.0), ScoredDocument("b", 8.0)],
        "r": [ScoredDocument("a", 5.0)],
    }
    assert (report.lines, report.duplicates) == (5, 2)
    assert report.notes == (
        f"{path}: 2 duplicate documents dropped, the first of each query kept (line 3: query q, document a)",
    )
    assert read_run_report(written(tmp_path, "q Q0 a 1 9 t\nq Q0 b 2 8 t\n")).notes == ()


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("q Q0 d 1 0.5 t\nq Q0 d 1 0.5\n", 2, "5 columns where a run has 6"),
        ("q 0 d 1\n", 1, "this looks like qrels"),
        ("q Q0 d 1 nan t\n", 1, "the score 'nan' is not a finite number"),
        ("q Q0 d 1 -inf t\n", 1, "the score '-inf' is not a finite number"),
        ("q Q0 d 1 1e999 t\n", 1, "the score '1e999' is not a finite number"),
        ("q Q0 d 1 1_0 t\n", 1, "the score '1_0' is not a finite number"),
        ("q Q0 d 1 ５ t\n", 1, "is not a finite number"),
        ("\n\nq Q0 d 1 high t\n", 3, "the score 'high' is not a finite number"),
        ("q Q0 a b 1 high t\n", 1, "the score 'high' is not a finite number"),
        ("q Q0 my doc 1 0.5\n", 1, "the rank 'doc' is not a number"),
        (b"q Q0 d 1 0.5 t\nq Q0 d\xff 1 0.5 t\n", 2, "not UTF-8 (byte 0xff at position 7)"),
        (PLAIN.encode("utf-16"), None, "UTF-16 text, not UTF-8"),
        (PLAIN.replace("\n", "\r"), 1, "a line break or NUL inside the document id"),
        (b"q Q0 d\0 1 0.5 t\n", 1, "a line break or NUL inside the document id"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], 5, "the gzip data is damaged or cut short"),
        (b"\x1f\x8bnonsense", 1, "the gzip data is damaged or cut short"),
        (b"x" * (1 << 20), 1, "not a file of this kind"),
        ("", None, "the file is empty"),
        ("\n \n", None, "the file is empty"),
    ],
)
def test_a_run_that_cannot_be_read(
    tmp_path: Path, content: str | bytes, line: int | None, problem: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(FileFormatError, match=re.escape(problem)) as caught:
        read_run(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert "\n" not in str(caught.value)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    written(tmp_path, PLAIN, "bm25.trec")
    with pytest.raises(InputError, match=r"there is no file .*bm52\.trec: did you mean .*bm25\.trec\?"):
        read_run(tmp_path / "bm52.trec")
    with pytest.raises(InputError, match="is a folder"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_run("nul\0byte")


# ---- qrels


@pytest.mark.parametrize(
    "content",
    [
        "q 0 d1 1\nq 0 a b 0\nr Q0 d1 -2\n",
        "q\t0\td1\t1\r\nq\t0\ta b\t0\r\nr\t0\td1\t-2\r\n",
        "\ufeffquery-id\tcorpus-id\tscore\nq\td1\t1\nq\ta b\t0\nr\td1\t-2\n",
        gzip.compress(b"q 0 d1 1\n\nq 0 a b 0\nr 0 d1 -2", mtime=0),
    ],
)
def test_qrels(tmp_path: Path, content: str | bytes) -> None:
    assert read_qrels(written(tmp_path, content)) == {"q": {"d1": 1, "a b": 0}, "r": {"d1": -2}}


def test_a_repeated_judgement_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "q 0 d 1\nq 0 d 1\nq 0 e 0\n")
    report = read_qrels_report(path)
    assert (report.qrels, report.lines, report.duplicates) == ({"q": {"d": 1, "e": 0}}, 3, 1)
    assert report.notes == (f"{path}: 1 repeated judgement",)


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("q 0 d 1\nq 0 d 2\n", 2, "grade 2 for query q, document d after 1 on an earlier line"),
        ("q 0 d\n", 1, "3 columns where qrels have 4"),
        ("q 0 d 1.5\n", 1, "the grade '1.5' is not a whole number"),
        ("q 0 d 1_0\n", 1, "the grade '1_0' is not a whole number"),
        ("q 0 d " + "9" * 5000 + "\n", 1, "is not a whole number"),
        ("q Q0 d 1 0.5 tag\n", 1, "this looks like a TREC run"),
        ("query-id\tcorpus-id\tscore\nq\td 1\n", 2, "not the three tab-separated columns"),
        ("query-id\tcorpus-id\tscore\n", None, "holds no judgement"),
        (b"q 0 \xff 1", 1, "not UTF-8"),
        ("", None, "holds no judgement"),
    ],
)
def test_qrels_that_cannot_be_read(
    tmp_path: Path, content: str | bytes, line: int | None, problem: str
) -> None:
    with pytest.raises(FileFormatError, match=re.escape(problem)) as caught:
        read_qrels(written(tmp_path, content))
    assert caught.value.line == line


# ---- writing runs


def test_a_run_as_written(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    write_run(path, {"q1": ["b", "a c"], "none": [], "q2": ["x"]}, "tag")
    assert path.read_text() == "q1 Q0 b 1 2 tag\nq1 Q0 a c 2 1 tag\nq2 Q0 x 1 1 tag\n"
    assert list(tmp_path.iterdir()) == [path]


def test_equal_content_is_equal_bytes_also_compressed(tmp_path: Path) -> None:
    run = {"q": ["a", "b"]}
    write_run(tmp_path / "one.gz", run, "t")
    write_run(tmp_path / "two.gz", run, "t")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert ids(read_run(tmp_path / "one.gz")) == run


def test_long_lists_keep_distinct_float32_scores(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(100_000)]
    write_run(tmp_path / "run", {"q": names}, "t")
    scores = [float32(one.score) for one in read_run(tmp_path / "run")["q"]]
    assert all(one > other for one, other in itertools.pairwise(scores))


@pytest.mark.parametrize(
    ("run", "tag", "problem"),
    [
        ({"q": ["a", "b", "a"]}, "t", "query 'q' lists a document twice"),
        ({"q": [""]}, "t", "the document id '' does not fit"),
        ({"q": [" a"]}, "t", "the document id ' a' does not fit"),
        ({"q": ["a\t"]}, "t", "does not fit"),
        ({"q": ["a\nb"]}, "t", "does not fit"),
        ({"q": ["a\rb"]}, "t", "does not fit"),
        ({"q": ["a\0b"]}, "t", "does not fit"),
        ({"q": ["\ud800"]}, "t", "cannot be encoded as UTF-8"),
        ({"q": [7]}, "t", "the document id 7 is not a string"),
        ({"q 1": ["a"]}, "t", "the query id 'q 1' does not fit"),
        ({"": ["a"]}, "t", "the query id '' does not fit"),
        ({"\ufeffq": ["a"]}, "t", "does not fit"),
        ({"q": ["a"]}, "my tag", "the tag 'my tag' does not fit"),
        ({"q": ["a"]}, "", "the tag '' does not fit"),
    ],
)
def test_ids_that_a_run_cannot_hold(
    tmp_path: Path, run: dict[str, list[str]], tag: str, problem: str
) -> None:
    path = written(tmp_path, "before")
    with pytest.raises(InputError, match=re.escape(problem)):
        write_run(path, run, tag)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda text: text.encode().split() == [text.encode()] and "\0" not in text and text[0] != "\ufeff"
)
blanks = st.sampled_from([" ", "  ", "\t", " \t"])
documents = st.builds(lambda parts, blank: blank.join(parts), st.lists(words, min_size=1, max_size=3), blanks)
runs = st.dictionaries(
    words, st.lists(documents, min_size=1, max_size=6, unique=True), min_size=1, max_size=4
)


@example({"#": ["0", "0 1"]}, "0", "run")
@given(runs, words, st.sampled_from(["run", "run.gz"]))
def test_ids_and_order_survive_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, run: dict[str, list[str]], tag: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / name, run, tag)
    found = ids(read_run(folder / name))
    assert (found, list(found)) == (run, list(run))
    write_run(folder / f"again-{name}", found, tag)
    assert (folder / name).read_bytes() == (folder / f"again-{name}").read_bytes()


def test_scores_that_decrease_are_written_as_they_are(tmp_path: Path) -> None:
    run = {
        "q": [ScoredDocument("a", 0.6321441531181335), ScoredDocument("b", 0.1), ScoredDocument("c", -3.0)]
    }
    write_scored_run(tmp_path / "run", run, "t")
    assert read_run(tmp_path / "run") == run


def test_scores_that_tie_or_rise_are_moved_just_below(tmp_path: Path) -> None:
    below_one, below_zero = 1 - 2**-24, -(2**-149)
    given_scores = [1.0, 1.0, 0.5, 0.5000000001, 0.0, 0.0, -1.0]
    expected = [1.0, below_one, 0.5, 0.5 - 2**-25, 0.0, below_zero, -1.0]
    run = {"q": [ScoredDocument(f"d{at}", score) for at, score in enumerate(given_scores)]}
    write_scored_run(tmp_path / "run", run, "t")
    assert [one.score for one in read_run(tmp_path / "run")["q"]] == expected


@given(st.lists(st.floats(-1e38, 1e300) | st.sampled_from([0.0, -0.0, 1.0, 0.1]), min_size=1, max_size=20))
def test_written_scores_strictly_decrease_in_float32(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    run = {"q": [ScoredDocument(f"d{at}", score) for at, score in enumerate(scores)]}
    write_scored_run(folder / "run", run, "t")
    found = read_run(folder / "run")
    rounded = [float32(one.score) for one in found["q"]]
    assert ids(found) == ids(run)
    assert all(one > other for one, other in itertools.pairwise(rounded))
    write_scored_run(folder / "again", found, "t")
    assert (folder / "run").read_bytes() == (folder / "again").read_bytes()


@pytest.mark.parametrize("scores", [[float("nan")], [float("inf")], [-3.5e38, -3.5e38]])
def test_scores_that_no_file_can_hold(tmp_path: Path, scores: list[float]) -> None:
    run = {"q": [ScoredDocument(f"d{at}", score) for at, score in enumerate(scores)]}
    with pytest.raises(InputError, match="cannot write the scores of query 'q'"):
        write_scored_run(tmp_path / "run", run, "t")


# ---- whole or not at all


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path, "before")

    def fail_half_way() -> None:
        with atomic_open(path) as stream:
            stream.write("half")
            stream.flush()
            raise RuntimeError(path.read_text())

    with pytest.raises(RuntimeError, match="before"):
        fail_half_way()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_block_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_open(tmp_path / "file"):
        (tmp_path / "other").read_text()


def test_permissions_are_those_of_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_open(tmp_path / "new") as stream:
        stream.write("x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o600)
    with atomic_open(tmp_path / "new") as stream:
        stream.write("y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "target")
    with atomic_open(tmp_path / "link") as stream:
        stream.write("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_text() == "x"


def test_standard_output_and_pipes_are_written_directly(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_run("-", {"q": ["a"]}, "t")
    assert capfdbinary.readouterr().out == b"q Q0 a 1 1 t\n"
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe:
        with open(writer, "wb"):
            write_run(f"/proc/self/fd/{writer}", {"q": ["a"]}, "t")
        assert pipe.read() == b"q Q0 a 1 1 t\n"


def test_undecodable_text_is_an_input_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="cannot be encoded as UTF-8"),
        atomic_open(tmp_path / "file") as stream,
    ):
        stream.write("\ud800")
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        write_run(tmp_path / "nowhere" / "run", {"q": ["a"]}, "t")
    with pytest.raises(InputError, match="is a folder"):
        write_run(tmp_path, {"q": ["a"]}, "t")
    with pytest.raises(InputError, match="File name too long"):
        write_run(tmp_path / ("n" * 300), {"q": ["a"]}, "t")
    with pytest.raises(InputError, match="cannot hold NUL"):
        write_run("nul\0byte", {"q": ["a"]}, "t")
    with pytest.raises(InputError, match="Not a directory"):
        write_run(written(tmp_path, "") / "run", {"q": ["a"]}, "t")
    write_run(tmp_path / ("\u6587" * 80), {"q": ["a"]}, "t")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        write_run("/dev/full", {"q": [f"d{at}" for at in range(10_000)]}, "t")


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = written(tmp_path, "before")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        with pytest.raises(OutputError, match=f"cannot write {path}"):
            write_run(path, {"q": [f"d{at}" for at in range(100_000)]}, "t")
    finally:
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


# ---- real files


def test_no_line_of_the_published_runs_is_lost(shared: Path) -> None:
    runs = sorted((shared / "bright" / "runs").glob("*.txt"))
    lines = {path.name.partition(".")[0]: read_run_report(path) for path in runs}
    assert {name: report.lines for name, report in lines.items()} == {
        "biology": 10_300,
        "earth_science": 11_600,
        "economics": 10_300,
        "leetcode": 14_200,
        "stackoverflow": 11_700,
        "theoremqa_theorems": 7_600,
    }
    assert sum(report.duplicates for report in lines.values()) == 0
    spaced = [one.id for found in lines["stackoverflow"].run.values() for one in found if " " in one.id]
    assert len(spaced) == 12


def test_repeated_documents_of_the_published_runs_are_counted(shared: Path) -> None:
    runs = sorted((shared / "r2med" / "runs").glob("*.txt"))
    counts = {path.name.partition(".")[0]: read_run_report(path).duplicates for path in runs}
    assert counts == {"Bioinformatics": 18, "Biology": 0, "MedQA-Diag": 79, "PMC-Clinical": 0}
