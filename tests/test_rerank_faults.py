"""`reasonrank rerank` as a user runs it against a real server, and what goes wrong; what is killed is a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import reasonrank
from http_server import Server, answer, hang, reply, status

from reasonrank_pyserini import read_run

QUERIES, DEPTH = 12, 40
WINDOWS = QUERIES * 3  # 40 candidates in windows of 20, step 10
REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("requests") / "requests.jsonl"
    lines = [
        {
            "query": {"text": f"question {q}", "qid": f"q{q}"},
            "candidates": [
                {"docid": f"d {q} {i}", "score": DEPTH - i, "doc": {"contents": f"passage {i} of {q}"}}
                for i in range(DEPTH)
            ],
        }
        for q in range(QUERIES)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def command(requests: Path, url: str, output: Path, *more: str) -> list[str]:
    return [
        *REASONRANK, "rerank", "--requests", str(requests), "--model", "tiny", "--base-url", url, "--api", "chat",
        "--engine-arg", "backoff=0.01", "-o", str(output), *more,
    ]  # fmt: skip


def run(requests: Path, url: str, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return reasonrank(*command(requests, url, output, *more)[len(REASONRANK) :])


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The last line on stderr, after checking the exit status and that there is no traceback."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def manifest(output: Path) -> dict[str, Any]:
    return json.loads((output / "manifest.json").read_text())


def expect_whole(output: Path) -> dict[str, list[str]]:
    """The run holds exactly the first stage's documents; manifest and trace are there."""
    found = {query: [line.id for line in lines] for query, lines in read_run(output / "run.trec").items()}
    assert {query: sorted(ids) for query, ids in found.items()} == {
        f"q{q}": sorted(f"d {q} {i}" for i in range(DEPTH)) for q in range(QUERIES)
    }
    assert len((output / "trace.jsonl").read_text().splitlines()) == manifest(output)["windows"] == WINDOWS
    assert not (output / "trace.jsonl.part").exists()
    return found


def test_a_run_and_the_same_command_again(requests: Path, server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(requests, server.url, out)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["statuses"] == {"CLEAN": WINDOWS}
    order = expect_whole(out)["q3"]
    assert order[:10] == [f"d 3 {i}" for i in range(39, 29, -1)], "reversing every window lifts the tail"
    assert len(server.requests) == WINDOWS
    again = run(requests, server.url, out)
    assert (again.returncode, len(server.requests)) == (0, WINDOWS)
    assert "nothing to do" in again.stderr


def test_the_trace_says_what_was_shown_and_answered(requests: Path, server: Server, tmp_path: Path) -> None:
    run(requests, server.url, tmp_path / "out", "--query-ids", "q5")
    steps = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert [step["window"][0] for step in steps] == ["d 5 20", "d 5 10", "d 5 0"]
    first = steps[0]
    assert first["order"] == first["window"][::-1]
    assert (first["status"], first["reasoning"], first["cached"]) == ("CLEAN", "the later the better", False)
    assert first["answer"].startswith("<answer>")
    assert first["prompt_tokens"] > 0


def test_another_configuration_is_refused_and_overwrite_keeps_the_answers(
    requests: Path, server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(requests, server.url, out)
    before = (out / "run.trec").read_bytes()
    refused = run(requests, server.url, out, "--limit", "3")
    assert "holds the result of another configuration" in one_line(refused, 2)
    assert (out / "run.trec").read_bytes() == before
    assert run(requests, server.url, out, "--limit", "3", "--overwrite").returncode == 0
    assert len(server.requests) == WINDOWS, "the three queries came from the journal"
    assert list(read_run(out / "run.trec")) == ["q0", "q1", "q2"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_then_the_same_command(requests: Path, server: Server, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    server.stall_after = WINDOWS // 2
    limit = ("--engine-arg", "concurrency=4")
    process = subprocess.Popen(
        command(requests, server.url, out, *limit), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    server.until_stalled(4, process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == {9: -9, 2: 130, 15: 143}[number]
    if number != signal.SIGKILL:
        assert "the same command continues" in stderr
        assert "Traceback" not in stderr
    assert not (out / "run.trec").exists()
    assert not (out / "manifest.json").exists()
    server.stall_after = None
    asked = len(server.requests)
    done = run(requests, server.url, out, *limit)
    assert done.returncode == 0, done.stderr
    expect_whole(out)
    assert len(server.requests) <= WINDOWS + 4, "at most the calls in flight at the kill are made twice"
    assert manifest(out)["cached"] == WINDOWS - (len(server.requests) - asked)


def test_server_errors_are_retried(requests: Path, server: Server, tmp_path: Path) -> None:
    limited = status(429, headers={"Retry-After": "0"})
    server.script(status(500), status(503), limited, reply({"error": {"message": "x"}}))
    done = run(requests, server.url, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == WINDOWS + 4
    expect_whole(tmp_path / "out")


def test_an_error_is_never_a_ranking(requests: Path, server: Server, tmp_path: Path) -> None:
    server.always = status(400, "bad request [3] > [1]")
    line = one_line(run(requests, server.url, tmp_path / "out"), 1)
    assert "bad request" in line
    assert not (tmp_path / "out" / "run.trec").exists()


def test_a_failing_window_is_kept_counted_and_tried_again(
    requests: Path, server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    server.script(status(400, "no"), status(400, "no"))
    done = run(requests, server.url, out, "--on-error", "keep")
    assert done.returncode == 3, done.stderr
    expect_whole(out)
    assert manifest(out)["errors"] == manifest(out)["statuses"]["FAILED"] == 2
    assert run(requests, server.url, out, "--on-error", "keep").returncode == 0
    assert manifest(out)["statuses"] == {"CLEAN": WINDOWS}


def test_the_server_dies_half_way(requests: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Server(stall_after=WINDOWS // 2) as server:
        process = subprocess.Popen(
            command(requests, server.url, out, "--engine-arg", "attempts=2", "--engine-arg", "concurrency=4"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        server.until_stalled(4, process)
        server.stop()
        _, stderr = process.communicate(timeout=600)
    assert process.returncode == 75, "the same command continues"
    assert "Traceback" not in stderr
    assert not (out / "run.trec").exists()
    with Server() as back:
        done = run(requests, back.url, out, "--engine-arg", "attempts=2", "--engine-arg", "concurrency=4")
        assert done.returncode == 0, done.stderr
        assert len(back.requests) <= WINDOWS - WINDOWS // 2 + 4
    expect_whole(out)


def test_a_hanging_server_is_given_up(requests: Path, server: Server, tmp_path: Path) -> None:
    server.always = hang()  # for longer than a test may take
    more = ("--engine-arg", "inactivity_timeout=0.3", "--engine-arg", "attempts=2")
    line = one_line(run(requests, server.url, tmp_path / "out", *more), 1)
    assert "0.3" in line


def test_answers_that_name_no_passage_stop_the_run_after_fifty_windows(
    tmp_path: Path, requests: Path, server: Server
) -> None:
    server.always = answer("I cannot order these.")
    done = run(requests, server.url, tmp_path / "few")
    assert json.loads(done.stdout)["statuses"] == {"FAILED": WINDOWS}, "36 windows are too few to judge"
    for again in (done, run(requests, server.url, tmp_path / "few")):
        assert again.returncode == 3, again.stderr
        assert f"none of the {WINDOWS} answers could be read" in again.stderr
    assert run(requests, server.url, tmp_path / "few", "--max-failed", "1").returncode == 0
    line = one_line(run(requests, server.url, tmp_path / "many", "--step", "5"), 1)
    assert "are FAILED, more than --max-failed 0.5 allows" in line
    assert not (tmp_path / "many" / "run.trec").exists()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small tmpfs")
def test_a_full_disk(requests: Path, server: Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", disk]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        line = one_line(run(requests, server.url, disk / "out"), 1)
        assert "No space left on device" in line
        assert not (disk / "out" / "run.trec").exists()
        assert not (disk / "out" / "manifest.json").exists()
        asked = len(server.requests)
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        done = run(requests, server.url, disk / "out")
        assert done.returncode == 0, done.stderr
        expect_whole(disk / "out")
        assert 0 < manifest(disk / "out")["cached"] < WINDOWS
        assert len(server.requests) - asked + manifest(disk / "out")["cached"] == WINDOWS
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--engine", "vlm"], "unknown engine 'vlm': did you mean 'vllm'?"),
        (["--window", "5", "--step", "9"], "step 9 is larger than the window of 5"),
        (["--query-ids", "q77"], "unknown query 'q77'"),
        (["--engine-arg", "concurency=3"], "did you mean 'concurrency'?"),
        (["--reasoning-tokens", "99999999"], "lower --reasoning-tokens"),
        (["--reasoning-tokens", "5000"], "the context of tiny is 4096: lower --reasoning-tokens"),
        (["--windw", "3"], "--window"),
        (["--profile", "reasonrank-7"], "did you mean 'reasonrank-7b'?"),
    ],
)
def test_bad_input_is_one_line(
    requests: Path, server: Server, tmp_path: Path, more: list[str], expected: str
) -> None:
    done = run(requests, server.url, tmp_path / "out", *more)
    assert expected in one_line(done, 2)
    assert not (tmp_path / "out").exists()
    assert server.requests == []


def test_a_pipe_as_run_is_refused(server: Server, tmp_path: Path) -> None:
    """It could be read once only, so nothing could tell its result from another's."""
    (tmp_path / "corpus.jsonl").write_text('{"id": "d", "contents": "x"}\n')
    (tmp_path / "topics.tsv").write_text("q\tx\n")
    given = [
        "--corpus",
        str(tmp_path / "corpus.jsonl"),
        "--topics",
        str(tmp_path / "topics.tsv"),
        "--model",
        "tiny",
    ]
    asked = ["--base-url", server.url, "--api", "chat", "-o", str(tmp_path / "out")]
    os.mkfifo(tmp_path / "pipe")
    for run_file in (tmp_path / "pipe", "-"):
        arguments = [*REASONRANK, "rerank", "--run", str(run_file), *given, *asked]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False)
        assert "run file" in one_line(done, 2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("qid", "docid"), [("q one", "d"), ("q", "a\nb"), ("q", " a")])
def test_ids_that_no_run_can_hold_are_refused_before_a_call(
    server: Server, tmp_path: Path, qid: str, docid: str
) -> None:
    candidates = [{"docid": name, "score": 1, "doc": {"text": "x"}} for name in (docid, "other")]
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps({"query": {"qid": qid, "text": "x"}, "candidates": candidates}) + "\n")
    assert "does not fit in a run file" in one_line(run(path, server.url, tmp_path / "out"), 2)
    assert server.requests == []


def test_the_trace_of_a_killed_run_does_not_become_another_result(
    requests: Path, server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    server.stall_after = WINDOWS // 2
    slow = ("--engine-arg", "concurrency=1")
    process = subprocess.Popen(command(requests, server.url, out, *slow), stderr=subprocess.DEVNULL)
    while not (out / "trace.jsonl.part").exists() or not (out / "trace.jsonl.part").stat().st_size:
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    server.stall_after = None
    assert run(requests, server.url, out, "--depth", "1", "--overwrite").returncode == 0
    assert (out / "trace.jsonl").read_text() == ""


@pytest.mark.parametrize("key", ["api_key", "openai_key", "client_secret", "password"])
def test_secrets_are_not_arguments(requests: Path, server: Server, tmp_path: Path, key: str) -> None:
    done = run(requests, server.url, tmp_path / "out", "--engine-arg", f"{key}=sk-123")
    line = one_line(done, 2)
    assert "keys come from the environment" in line
    assert "sk-123" not in line
