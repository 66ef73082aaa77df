"""A reranking that is killed, or its servers, and what was seen: the trials of `kill.py`."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from http_server import Server as Server  # noqa: E402 (the tests' own server)
from server_processes import MINE, gone, parts, pids_of_servers  # noqa: E402

from reasonrank_pyserini.engines.journal.upkeep import inspect  # noqa: E402

CODE = "from reasonrank_pyserini.cli import main; main()"
Moment = Callable[[subprocess.Popen[bytes]], object]
"""Returns when the process that it is given is to be killed, or has ended."""
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1",
}  # fmt: skip


@dataclass
class Counts:
    """What was seen. `vain`: a kill's calls that are not in the journal; `without_gain`: kills before which nothing
    was recorded; `survivors`: kills that left processes behind. Of a server killed: `restarts` of it, windows `lost`
    (an error instead of an answer), calls sent `again` in each run, and why, by kind."""

    kills: int = 0
    folders: int = 0
    windows: int = 0
    calls: int = 0
    vain: list[int] = field(default_factory=list)
    without_gain: int = 0
    damaged: int = 0
    different: int = 0
    survivors: int = 0
    killed: list[str] = field(default_factory=list)
    restarts: int = 0
    lost: int = 0
    again: list[int] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)


class Trial:
    """One command in one folder. `kill` starts it and kills it; `finish` lets it end and gives the run's bytes."""

    def __init__(self, command: Sequence[str], folder: Path, counts: Counts, server: Server | None) -> None:
        self.command = [sys.executable, "-c", CODE, "rerank", *command, "-o", str(folder)]
        self.folder, self.counts, self.server = folder, counts, server
        self.vain = 0
        self._before = self.asked()

    def kill(self, moment: Moment) -> bool:
        """Kill once `moment(process)` returns; False when the command has ended by then."""
        kept, process = self.answers(), self._start()
        moment(process)
        children = list(pids_of_servers(process.pid))
        process.kill()
        if process.wait() != -9:
            self._expect(process.returncode)
            return False
        counts = self.counts
        counts.kills += 1
        counts.survivors += not gone(children, 10.0)
        counts.without_gain += self.answers() == kept
        if self.server is not None:
            self._settle(self.server)
            vain = self.asked() - self._before - self.answers() - self.vain
            self.vain += vain
            counts.vain.append(vain)
        return True

    def kill_servers(self, draw: random.Random, most: int) -> bytes:
        """Let the command run to its end while at most `most` processes of its server are killed."""
        process, counts = self._start(), self.counts
        for _ in range(most):
            before = self.answers()
            while self.answers() == before and process.poll() is None:
                time.sleep(0.05)
            with suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, 2))
                break
            by_part = {part: found for part, found in parts(process.pid).items() if part != MINE and found}
            part = list(by_part)[counts.kills % len(by_part)]
            by_part[part][0].kill()
            counts.kills += 1
            counts.killed.append(part)
        children = list(pids_of_servers(process.pid))
        run = self.finish(process)
        manifest = json.loads((self.folder / "manifest.json").read_text())
        details = manifest["engine"]["details"]
        counts.survivors += not gone(children, 10.0)
        counts.restarts += details["restarts"]
        counts.lost += manifest["errors"]
        for kind, number in details["retries"].items():
            counts.failures[kind] = counts.failures.get(kind, 0) + number
        counts.again.append(sum(one["requests"] - one["answers"] for one in details["servers"]))
        return run

    def finish(self, process: subprocess.Popen[bytes] | None = None) -> bytes:
        process = process or self._start()
        self._expect(process.wait())
        self.counts.folders += 1
        self.counts.calls += self.asked() - self._before
        self.counts.windows += json.loads((self.folder / "manifest.json").read_text())["windows"]
        self.counts.damaged += inspect(self.folder / "journal").damaged
        return (self.folder / "run.trec").read_bytes()

    def answers(self) -> int:
        """Completions in the journal."""
        journal = self.folder / "journal"
        return inspect(journal).keys if journal.is_dir() else 0

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self.folder.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT})

    def asked(self) -> int:
        return 0 if self.server is None else len(self.server.requests)

    @staticmethod
    def _settle(server: Server) -> None:
        """Until the server has seen that the connections of the dead are closed."""
        seen = -1
        while server.in_flight or seen != len(server.requests):
            seen = len(server.requests)
            time.sleep(0.05)

    def _expect(self, status: int) -> None:
        if status:
            said = self.folder.with_suffix(".log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the command ended with {status}:\n{said}")
