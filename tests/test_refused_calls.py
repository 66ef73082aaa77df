"""System calls that a file system refuses, one at a time: what is harmless, what stops, and that the same command goes
on afterwards with nothing lost. Decided here for each call that writes, locks and syncs make."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import reasonrank
from http_server import Server

WORKS, STOPS, BAD_INPUT = 0, 1, 2
NO_LOCKS = "cannot be locked on this file system: make sure that no other process writes there"
CALLS = [  # call, part of the path, errors, exit status, words on standard error
    ("fchmod", "", (errno.EPERM, errno.ENOSYS), WORKS, ""),
    ("chmod", "", (errno.EPERM,), WORKS, ""),
    ("ftruncate64", "", (errno.EPERM, errno.EINVAL), WORKS, ""),
    ("fsync", "/out", (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENOTSUP), WORKS, ""),
    ("fsync", "part", (errno.EIO, errno.ENOSPC), STOPS, "cannot write out/"),
    ("flock", "", (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EPERM), WORKS, NO_LOCKS),
    ("flock", "", (errno.EIO, errno.ESTALE), STOPS, "out cannot be used as output folder: "),
    ("create", "lock", (errno.ENOSPC, errno.EIO, errno.EROFS), STOPS, "out cannot be used as output folder: "),
    ("create", "lock", (errno.EACCES, errno.EMFILE), BAD_INPUT, "out cannot be used as output folder: "),
    ("mkdir", "out/journal", (errno.EACCES,), BAD_INPUT, "out cannot be used as output folder: "),
    ("mkdir", "out/journal", (errno.ENOSPC, errno.EROFS), STOPS, "out cannot be used as output folder: "),
    ("create", "part", (errno.ENOSPC, errno.EDQUOT), STOPS, "cannot write out/journal/configuration.json: "),
    ("create", "part", (errno.EACCES,), BAD_INPUT, "cannot write out/journal/configuration.json: "),
    ("write", "run.trec.part", (errno.ENOSPC, errno.EIO, errno.EDQUOT), STOPS, "cannot write out/run.trec: "),
    ("write", "manifest.json.part", (errno.ENOSPC,), STOPS, "cannot write out/manifest.json: No space left"),
    ("write", "trace.jsonl.part", (errno.ENOSPC, errno.EIO), STOPS, "out cannot be written: "),
    ("close", "run.trec.part", (errno.EIO, errno.EDQUOT), STOPS, "cannot write out/run.trec: "),
    ("rename", "run.trec", (errno.EACCES, errno.EXDEV, errno.EBUSY), STOPS, "cannot write out/run.trec"),
    ("unlink", "part", (errno.EPERM, errno.EIO), WORKS, ""),
]  # fmt: skip
JOURNALLED = [
    ("write", (errno.ENOSPC, errno.EIO)),
    ("fsync", (errno.EIO,)),
    ("close", (errno.EIO,)),
    ("create", (errno.ENOSPC,)),
]
ORACLE = [
    "rerank", "--run", "run.trec", "--corpus", "corpus.jsonl", "--topics", "topics.tsv", "--judge", "oracle",
    "--qrels", "qrels", "-o", "out",
]  # fmt: skip


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to preload."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc")
    library = tmp_path_factory.mktemp("refusing") / "refusing.so"
    source = Path(__file__).parent / "refusing.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the inputs of a reranking of 2 queries in 6 windows."""
    rows = [
        f"{query} Q0 d{place:02} {place + 1} {40 - place} bm25\n" for query in "12" for place in range(40)
    ]
    (tmp_path / "run.trec").write_text("".join(rows))
    lines = [json.dumps({"id": f"d{place:02}", "contents": f"passage {place}"}) + "\n" for place in range(40)]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    (tmp_path / "topics.tsv").write_text("1\tone\n2\ttwo\n")
    (tmp_path / "qrels").write_text("1 0 d30 1\n2 0 d20 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REASONRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path


def refused(library: Path, rule: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reasonrank_pyserini", *arguments],
        capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "LD_PRELOAD": str(library), "REFUSE": rule, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def rows() -> Iterator[object]:
    for call, part, codes, status, words in CALLS:
        for code in codes:
            name = f"{call}-{part}-{errno.errorcode[code]}"
            yield pytest.param(
                f"{call}:{code}:/out" if part == "out" else f"{call}:{code}:{part}", status, words, id=name
            )


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "status", "words"), rows())
def test_a_call_that_is_refused(refusing: Path, folder: Path, rule: str, status: int, words: str) -> None:
    done = refused(refusing, rule, *ORACLE)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    assert words in done.stderr
    assert (folder / "out" / "manifest.json").exists() == (status == WORKS)
    again = reasonrank(*ORACLE, folder=folder)
    assert again.returncode == 0, again.stderr
    assert len((folder / "out" / "run.trec").read_text().splitlines()) == 80


@pytest.mark.parametrize(
    ("call", "code"), [(call, code) for call, codes in JOURNALLED for code in codes], ids=str
)
def test_answers_that_were_recorded_are_not_asked_for_again(
    refusing: Path, folder: Path, call: str, code: int
) -> None:
    """A write or a new file that is refused loses the answer of that moment at most; a late error loses none here."""
    with Server() as server:
        command = [
            "rerank",
            *ORACLE[1:7],
            "--model",
            "m",
            "--api",
            "chat",
            "--base-url",
            server.url,
            "-o",
            "out",
        ]
        done = refused(refusing, f"{call}:{code}:.journal", *command)
        last = done.stderr.splitlines()[-1]
        assert (done.returncode, "cannot be written: " + os.strerror(code) in last) == (1, True), done.stderr
        before = len(server.requests)
        again = reasonrank(*command, folder=folder)
        assert again.returncode == 0, again.stderr
        late = call in ("fsync", "close")
        assert len(server.requests) - before == (0 if late else 6)


def test_an_index_is_built_on_a_file_system_without_locks(refusing: Path, folder: Path) -> None:
    code = (
        "from reasonrank_pyserini.files.caches import cached_folder\n"
        "print(cached_folder('kind', {}, lambda folder: None).is_dir())"
    )
    for number in (errno.ENOLCK, errno.ENOSYS):
        environment = {**os.environ, "LD_PRELOAD": str(refusing), "REFUSE": f"flock:{number}"}
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True
            )
            assert done.stdout == "True\n", done.stderr
