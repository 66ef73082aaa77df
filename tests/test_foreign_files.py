"""Files as other tools write them, handed over as a run, qrels, topics or a corpus: read, or named in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from reasonrank_pyserini.errors import FileFormatError, InputError
from reasonrank_pyserini.files.corpora import Corpus
from reasonrank_pyserini.files.lines import printable, quoted
from reasonrank_pyserini.files.qrels import read_qrels
from reasonrank_pyserini.files.runs import read_run, read_run_report
from reasonrank_pyserini.files.topics import read_topics
from reasonrank_pyserini.types import Query

READERS = {
    "run": read_run,
    "qrels": read_qrels,
    "topics": read_topics,
    "corpus": lambda path: len(Corpus(path)),
}
RUN, QRELS, TOPICS = "1 Q0 d1 1 2.5 t\n", "1 0 d1 1\n", "1\tis it true\n"
CORPUS = '{"id": "d1", "contents": "a passage"}\n'


def zipped() -> bytes:
    with zipfile.ZipFile(to := io.BytesIO(), "w") as archive:
        archive.writestr("corpus.jsonl", CORPUS)
    return to.getvalue()


def tarred(mode: str) -> bytes:
    with tarfile.open(fileobj=(to := io.BytesIO()), mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("corpus.jsonl"))
    return to.getvalue()


EVERYWHERE = {
    "bzip2": bz2.compress(RUN.encode()),
    "xz": lzma.compress(RUN.encode()),
    "zstd": b"\x28\xb5\x2f\xfd\x24\x10\x81",
    "zip": zipped(),
    "tar archive": tarred("w"),
    "tar archive ": tarred("w:gz"),
    "gzip twice": gzip.compress(gzip.compress(RUN.encode(), mtime=0), mtime=0),
    "Parquet": b"PAR1\x15\x04\x15\x08",
    "Python pickle": pickle.dumps({"1": ["d1"]}),
    "UTF-16": RUN.encode("utf-16"),
    "UTF-16 text": RUN.encode("utf-16-le"),
    "NUL bytes": b"\0" * 60,
    "HTML page": b"<!DOCTYPE html>\n<html><body><p>404</body></html>\n",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7\nsize 12345\n",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", EVERYWHERE)
def test_what_no_reader_reads_is_named(tmp_path: Path, reader: str, what: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(EVERYWHERE[what])
    with pytest.raises(FileFormatError, match=what.strip()) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("reader", "content", "says"),
    [
        ("run", QRELS, "looks like qrels"),
        ("run", TOPICS, "looks like topics"),
        ("run", "1\tdoes it hold or not\n", "looks like topics"),
        ("run", CORPUS, r"query 'id' has a string, not an object; .* \{query id: \{document id: score\}\}"),
        ("run", CORPUS * 2, ":2: text after the JSON object; a run in JSON is one object"),
        ("run", json.dumps([{"qid": "1"}]), "looks like JSON"),
        ("run", "1\td1\t1\n", "query, document and rank alone"),
        ("run", "1 Q0 d1 1 2.5\n", "without its last column, the tag"),
        ("run", "qid\tQ0\tdocid\trank\tscore\ttag\n" + RUN, "a header: delete"),
        ("run", "# made by us at noon\n" + RUN, "a comment, .*delete"),
        ("qrels", "# made by us 1\n" + QRELS, "a comment, .*delete"),
        ("run", "qid,docid,rank,score\n1,d1,1,3\n", "looks like CSV"),
        ("run", (RUN * 2).replace("\n", "\r"), "end with CR alone"),
        ("run", "1 Q0 d1 1 1,5 t\n", "score '1,5' is not a finite number"),
        ("run", "1 Q0 d1 1 nan t\n", "score 'nan' is not a finite number"),
        ("run", "1 Q0 d1 1 -inf t\n", "score '-inf' is not a finite number"),
        ("qrels", RUN, "looks like a TREC run"),
        ("qrels", TOPICS, "looks like topics"),
        ("qrels", "1\tis it true today\n", "looks like topics"),
        ("qrels", CORPUS, "looks like JSON"),
        ("qrels", "1\td1\t1\n", "below BEIR's header query-id, corpus-id, score"),
        ("qrels", "query-id,corpus-id,score\n1,d1,1\n", "looks like CSV"),
        ("qrels", "qid iter docid grade\n" + QRELS, "a header: delete"),
        ("topics", QRELS, "looks like qrels"),
        ("topics", QRELS.replace(" ", "\t"), "looks like qrels"),
        ("topics", RUN, "looks like a TREC run"),
        ("topics", RUN.replace(" ", "\t"), "looks like a TREC run"),
        ("topics", "id,text\n1,a question\n", "looks like CSV"),
        ("topics", '{\n "id": "1",\n "text": "a"\n}\n', "JSON over several lines"),
        ("topics", "<top>\n<num>1\n<title>a\n", "<top> without </top>"),
        ("corpus", RUN, "looks like a TREC run"),
        ("corpus", TOPICS, "looks like TSV"),
        ("corpus", "id,text\n1,a\n", "looks like CSV"),
        ("corpus", "[" + CORPUS.strip() + "]", "looks like JSON"),
        ("corpus", "<DOC>\n<DOCNO>d1</DOCNO>\n</DOC>\n", "looks like XML"),
        ("corpus", '{\n "id": "d1",\n "text": "a"\n}\n', "JSON over several lines"),
        ("corpus", '{"id": NaN, "text": "a"}\n', "'id' holds nan, not an id"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, reader: str, content: str, says: str) -> None:
    path = tmp_path / "file"
    path.write_text(content, newline="")
    with pytest.raises(FileFormatError, match=says) as caught:
        READERS[reader](path)
    assert reader != "corpus" or "JSONL" in str(caught.value) or "NaN" in content


def test_only_the_first_line_is_compared_with_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(RUN + "1 Q0 d2 2")
    with pytest.raises(FileFormatError, match=r"run:2: 4 columns where a run has 6 \([^;]*$"):
        read_run(tmp_path / "run")


CONTRADICTIONS = {
    "as usual": ([(1, 3), (2, 2), (3, 1)], False),
    "shuffled lines": ([(3, 1), (1, 3), (2, 2)], False),
    "one rank for all": ([(0, 3), (0, 1), (0, 2)], False),
    "ranks over the whole file": ([(7, 3), (8, 2), (9, 1)], False),
    "ties in the order of ranks": ([(1, 5), (2, 5), (3, 5)], False),
    "distances": ([(1, 1), (2, 2), (3, 3)], True),
    "ranks upside down": ([(3, 3), (2, 2), (1, 1)], True),
    "ties against the ranks": ([(3, 5), (1, 5), (2, 5)], True),
    "one pair, far apart": ([(1, 5), (3, 1), (2, 0.5)], True),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_ranks_that_contradict_scores_are_noted(tmp_path: Path, name: str) -> None:
    pairs, contradict = CONTRADICTIONS[name]
    lines = [f"q Q0 d{place} {rank} {score} t\n" for place, (rank, score) in enumerate(pairs)]
    (tmp_path / "run").write_text("".join(lines))
    report = read_run_report(tmp_path / "run")
    assert report.contradicted == (["q"] if contradict else [])
    assert len(report.notes) == contradict


@pytest.mark.parametrize(
    ("content", "queries"),
    [
        ("qid\tquery\n1\ta\n", [Query("1", "a")]),
        ("query_id\ttext\n1\ta\n", [Query("1", "a")]),
        ("text\tquery\n", [Query("text", "query")]),
        ('<webtrack><topic number="1"><query>a</query></topic></webtrack>', [Query("1", "a")]),
        ('<topics xmlns="http://x"><topic number="1"><query>a</query></topic></topics>', [Query("1", "a")]),
        (
            '<topic number="1"><query>a</query></topic>\n<topic number="2"><query>b</query></topic>\n',
            [Query("1", "a"), Query("2", "b")],
        ),
        ("<TOPICS><TOPIC><NUM>1</NUM><TITLE>a</TITLE></TOPIC></TOPICS>", [Query("1", "a")]),
        ('<!-- of 2009 -->\n<topics><topic number="1">a</topic></topics>', [Query("1", "a")]),
        (
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<topics><topic number="1">é</topic></topics>',
            [Query("1", "é")],
        ),
    ],
)
def test_topics_in_further_forms(tmp_path: Path, content: str, queries: list[Query]) -> None:
    path = tmp_path / "topics"
    path.write_bytes(content.encode("latin-1"))
    assert read_topics(path) == queries


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("d1", "'d1'"),
        ("café", "'café'"),
        ("cafe\u0301", "'cafe\\u0301'"),
        ("\u200b1", "'\\u200b1'"),
        ("\ufeff1", "'\\ufeff1'"),
        ("a\u00a0b", "'a\\xa0b'"),
        ("a\u00adb", "'a\\xadb'"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert quoted(text) == shown
    assert printable(text) in (shown, shown[1:-1])


@pytest.mark.parametrize("name", ["-", "/dev/null"])
def test_what_is_read_twice_cannot_be_a_pipe(name: str) -> None:
    with pytest.raises(InputError, match=f"topics file {name} is a pipe or device: save it to a file first"):
        read_topics(name)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder: give a file"):
        read_run(tmp_path)
    (tmp_path / "run.trec").write_text(RUN)
    with pytest.raises(InputError, match=f"is a folder: give {tmp_path}/run.trec"):
        read_run(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "run.trec").unlink()
    with pytest.raises(InputError, match=r"has no .jsonl.*it has notes.txt.*JSONL"):
        Corpus(tmp_path)
