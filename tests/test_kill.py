"""Kills (-9) of a reranking's client, one after the other; eval/bench/kill.py has a hundred, and the vllm engine."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from http_server import Server, hang

from reasonrank_pyserini.cli import main

FOLDER = Path(__file__).parents[1] / "eval" / "bench"
sys.path.insert(0, str(FOLDER))
try:
    import kill
finally:
    sys.path.remove(str(FOLDER))

QUERIES, KILLS = 20, 5
WINDOWS = QUERIES * 3  # 40 candidates in windows of 20, step 10


@pytest.mark.slow
def test_five_kills_change_nothing_and_cost_what_was_in_flight(tmp_path: Path) -> None:
    """Each comes when so many more calls were made; from then on the server answers nothing, however slow the kill."""
    draw, counts = random.Random(7), kill.Counts()
    with Server(rank=kill.by_rule) as server:
        command = kill.of_client(kill.write_requests(tmp_path / "requests.jsonl", QUERIES, 40), server)
        with pytest.raises(SystemExit) as caught:
            main(["rerank", *command, "-o", str(tmp_path / "whole")])
        assert caught.value.code == 0
        trial = kill.Trial(command, tmp_path / "killed", counts, server)

        for enough in (0, *(draw.randrange(1, 12) for _ in range(KILLS - 1))):
            last = len(server.requests) + enough
            server.choose = lambda request, most=last: hang() if len(server.requests) > most else None  # type: ignore[misc]

            def moment(process: subprocess.Popen[bytes], most: int = last) -> None:
                while len(server.requests) < most and process.poll() is None:
                    time.sleep(0.002)

            assert trial.kill(moment)
            assert not (tmp_path / "killed" / "run.trec").exists()
        server.choose = None
        assert trial.finish() == (tmp_path / "whole" / "run.trec").read_bytes()
    assert (counts.kills, counts.windows, counts.damaged) == (KILLS, WINDOWS, 0)
    assert max(counts.vain) <= kill.CONCURRENCY
    assert counts.calls == WINDOWS + sum(counts.vain)
