"""The command as a process: streams that are closed, full or broken, signals, unforeseen failures."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = f"{sys.executable} -m reasonrank_pyserini"
EVALUATE = f"{COMMAND} evaluate --run run.trec --qrels qrels"
RERANK = (
    f"{COMMAND} rerank --run run.trec --corpus corpus.jsonl --topics topics.tsv --judge oracle --qrels qrels"
)
LONG = "x" * 300


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run.trec").write_text("1 Q0 a 1 2 bm25\n1 Q0 b 2 1 bm25\n")
    (tmp_path / "corpus.jsonl").write_text('{"id": "a", "contents": "one"}\n{"id": "b", "contents": "two"}\n')
    (tmp_path / "topics.tsv").write_text("1\tone\n")
    (tmp_path / "qrels").write_text("1 0 b 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(line: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=600)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize("streams", ["<&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(true)"])
def test_a_lost_stream_of_notes_stops_no_work(folder: Path, streams: str) -> None:
    assert shell(f"{RERANK} -o out {streams}").returncode == 0
    assert (folder / "out" / "run.trec").read_text() == "1 Q0 b 1 2 reasonrank\n1 Q0 a 2 1 reasonrank\n"


@pytest.mark.parametrize(
    "command", [EVALUATE, f"{COMMAND} --help", f"{COMMAND} --version", f"{RERANK} -o out"]
)
def test_results_that_cannot_be_printed(folder: Path, command: str) -> None:
    full = shell(f"{command} >/dev/full")
    assert full.returncode == 1
    assert (
        full.stderr.splitlines()[-1] == "reasonrank: cannot write to standard output: No space left on device"
    )
    broken = shell(f"({command}; echo $? >status) | true")
    assert (folder / "status").read_text() in ("1\n", "0\n")  # 0 where all fitted into the pipe in time
    assert "cannot" not in broken.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{RERANK} -o {LONG}", "cannot be used as output folder: File name too long"),
        (f"{COMMAND} retrieve --corpus corpus.jsonl --topics topics.tsv --method bm25 -o {LONG}", "too long"),
        (f"{COMMAND} show {LONG} --query 1", "there is no folder"),
        (f"{RERANK} -o qrels/out", "cannot be used as output folder: Not a directory"),
        (
            f"ln -s nowhere link; {RERANK} -o link",
            "link (it is a link to nowhere) cannot be used as output folder",
        ),
        (
            f"mkdir gone; cd gone; rmdir ../gone; {COMMAND} report x -o y",
            "the current folder has been removed",
        ),
    ],
)
def test_a_path_that_cannot_be_used_is_one_line(folder: Path, line: str, words: str) -> None:
    done = shell(line)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[-1]


ENDING = """
import os, signal, sys, threading
signal.signal(signal.SIGHUP, signal.{hangup})
from reasonrank_pyserini import cli
sys.argv = ["reasonrank", "evaluate"]
class Panic(BaseException): pass
def body(context):
    {body}
cli.group.invoke = body
cli.main()
"""


def ended(body: str, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", ENDING.format(body=body, hangup="SIG_DFL")],
        capture_output=True, text=True, check=False, timeout=600, env={**os.environ, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("1 / 0", 1, "unexpected ZeroDivisionError: division by zero (this is a bug: report it with"),
        ("raise Panic('compiled code')", 1, "unexpected Panic: compiled code (this is a bug"),
        ("raise MemoryError", 1, "there is not enough memory (details are in"),
        (
            f"raise OSError({errno.EIO}, 'Input/output error', 'f')",
            1,
            "f: Input/output error (details are in",
        ),
        (f"raise OSError({errno.EIO}, 'Input/output error')", 1, ": Input/output error (details are in"),
        ("raise PermissionError(13, 'Permission denied', 'f')", 2, "f: Permission denied (details are in"),
        (
            "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()",
            0,
            "ZeroDivisionError",
        ),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "interrupted"),
    ],
)
def test_a_failure_that_nothing_foresaw(tmp_path: Path, body: str, status: int, words: str) -> None:
    code, lines = ended(body, TMPDIR=str(tmp_path))
    assert code == status
    assert words in lines[-1]
    logs = list(tmp_path.glob("reasonrank-error-*.log"))
    assert len(logs) == (words != "interrupted")
    assert all("in body" in log.read_text() or "<lambda>" in log.read_text() for log in logs)


def test_what_python_ignores_is_not_printed_and_a_log_that_cannot_be_written_is_said() -> None:
    assert ended("import atexit; atexit.register(lambda: 1 / 0)") == (0, [])
    body = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']; 1 / 0"
    code, (line,) = ended(body)
    assert (code, "no log of it could be written" in line) == (1, True)


def test_debug_shows_the_traceback() -> None:
    script = ENDING.format(body="1 / 0", hangup="SIG_DFL").replace(
        '"reasonrank", ', '"reasonrank", "--debug", '
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_closes_ends_a_command_as_ctrl_c_does(number: int) -> None:
    body = "import atexit; atexit.register(lambda: print('left', file=sys.stderr)); os.kill(os.getpid(), {})"
    assert ended(body.format(number)) == (128 + number, ["left"])
    if number == signal.SIGTERM:
        return
    script = ENDING.format(body="os.kill(os.getpid(), 1)", hangup="SIG_IGN")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
