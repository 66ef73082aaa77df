"""Whole rerankings over servers that the command starts: replicas, servers that are gone, interrupts and kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import reasonrank
from ends_with_parent import watch
from fake_vllm_server import FakeVLLM
from vllm_kit import gone

from reasonrank_pyserini.engines.journal.upkeep import inspect


def requests_file(folder: Path, queries: int) -> Path:
    path = folder / "requests.jsonl"
    rows = [
        {
            "query": {"qid": f"q{q}", "text": f"why do moths circle lamp {q}"},
            "candidates": [
                {"docid": f"d{i}", "score": -i, "doc": {"text": f"moth {q} {i}"}} for i in range(30)
            ],
        }
        for q in range(queries)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Run:
    """`reasonrank rerank` over servers that a fake vLLM answers for."""

    def __init__(self, fake: FakeVLLM, requests: Path, output: Path, *more: str) -> None:
        self.fake, self.output = fake, output
        self.words = [
            *("rerank", "--requests", str(requests), "--model", "nano", "--engine", "vllm"),
            *("--vllm-python", str(fake.python), *more, "-o", str(output)),
        ]

    def here(self) -> subprocess.CompletedProcess[str]:
        """In this process, to its end."""
        return reasonrank(*self.words)

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "reasonrank_pyserini", *self.words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def answers(self) -> int:
        journal = self.output / "journal"
        return inspect(journal).keys if journal.is_dir() else 0

    def trec(self) -> bytes:
        return (self.output / "run.trec").read_bytes()


@pytest.fixture
def fake(tmp_path: Path) -> FakeVLLM:
    return FakeVLLM(tmp_path / "fake")


QUERIES = 12
"""Queries of 30 candidates, so of two windows each."""


class TestRuns:
    def test_one_child_and_two_replicas_write_the_same_run(self, fake: FakeVLLM, tmp_path: Path) -> None:
        requests = requests_file(tmp_path, QUERIES)
        one, two = (
            Run(fake, requests, tmp_path / name, *more)
            for name, more in (("one", ()), ("two", ("--replicas", "2")))
        )
        assert (one.here().returncode, two.here().returncode) == (0, 0)
        assert one.trec() == two.trec()
        assert (tmp_path / "one" / "journal" / "vllm-1.log").is_file()
        again = two.here()
        assert "nothing to do" in again.stderr
        assert gone(fake.pids())

    def test_servers_that_are_gone_make_exit_75_and_the_same_command_continues(
        self, fake: FakeVLLM, tmp_path: Path
    ) -> None:
        requests = requests_file(tmp_path, QUERIES)
        whole = Run(fake, requests, tmp_path / "whole")
        assert whole.here().returncode == 0
        job = Run(fake, requests, tmp_path / "job", "--engine-arg", "max_num_seqs=2")
        calls = len(fake.events("asked"))
        fake.on("answers", "4")
        process = job.start()
        watcher = watch(process)
        fake.wait(lambda: job.answers())
        fake.on("broken", "RuntimeError: no device")
        os.kill(fake.pids()[-1], signal.SIGKILL)
        said = process.communicate(timeout=400)[1].decode()
        assert process.returncode == 75, said
        watcher.kill()
        watcher.wait()
        assert "the same command continues" in said
        assert "Traceback" not in said
        fake.off("answers")
        fake.off("broken")
        kept = job.answers()
        before = len(fake.events("asked"))
        assert job.here().returncode == 0
        assert len(fake.events("asked")) - before == calls - kept
        assert job.trec() == whole.trec()

    @pytest.mark.slow
    def test_interrupts_and_kills_at_random_moments_leave_no_process(
        self, fake: FakeVLLM, tmp_path: Path
    ) -> None:
        """Ten times Ctrl-C and kill -9 in turn, from the start on; then the same command ends the work."""
        requests = requests_file(tmp_path, QUERIES)
        whole = Run(fake, requests, tmp_path / "whole")
        begin = time.monotonic()
        assert whole.here().returncode == 0
        length, draw = time.monotonic() - begin + 3, random.Random(7)
        job = Run(fake, requests, tmp_path / "job", "--replicas", "2", "--engine-arg", "max_num_seqs=1")
        for number in [signal.SIGINT, signal.SIGKILL] * 5:
            process = job.start()
            watcher = watch(process)
            try:
                process.wait(draw.uniform(0.2, length))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            process.communicate(timeout=400)
            watcher.kill()
            watcher.wait()
            assert process.returncode in (0, 130, -number), number
            assert gone(fake.pids())
        assert job.here().returncode == 0
        assert job.trec() == whole.trec()
