"""`reasonrank reproduce` as a user runs it over files of a benchmark, and what its results say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmark_world import World
from commands import reasonrank
from http_server import Server
from hub_server import HubServer

from reasonrank_pyserini import read_run

REASONRANK = [sys.executable, "-c", "from reasonrank_pyserini.cli import main; main()"]
SMALL = ("--tasks", "biology", "pony")


class Machine:
    """A world, the servers of its files, and the command: in this process, or started in one of its own."""

    def __init__(self, world: World, hub: HubServer) -> None:
        self.world, self.hub, self.env = world, hub, world.environment(hub)

    def start(self, *arguments: Any) -> subprocess.Popen[str]:
        command = [*REASONRANK, *map(str, arguments)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=self.env, cwd=self.world.folder, **pipes)

    def run(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        return reasonrank(*arguments, folder=self.world.folder, environment=self.env)

    def run_apart(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        """In a process of its own: `fetch --to` has to come before the hub's client is loaded."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def reproduce(
        self, output: Path, *more: Any, server: Server | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.run(*self.arguments(output, *more, server=server))

    def arguments(self, output: Path, *more: Any, server: Server | None = None) -> list[Any]:
        asked = ["--base-url", server.url, "--api", "chat", "--model", "tiny"] if server else []
        return ["reproduce", "bright", *SMALL, "--runs", self.world.runs, *asked, "-o", output, *more]


def table(output: Path) -> dict[str, Any]:
    return json.loads((output / "leaderboard.json").read_text())


def ours(output: Path) -> dict[str, float]:
    return {row["task"]: row["ours"] for row in table(output)["rows"]}


def order(output: Path, task: str = "biology", query: str = "0") -> list[str]:
    return [hit.id for hit in read_run(output / task / "run.trec")[query]]


def last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]
