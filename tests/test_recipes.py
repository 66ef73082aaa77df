"""The cluster recipes of eval/reproduction, run by bash; of the batch system only `scontrol` is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_world import small_world
from http_server import Server
from hub_server import HubServer

RECIPES = Path(__file__).parents[1] / "eval" / "reproduction"
WINDOWS = 4 * 3


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a world in it, and the environment in which recipes find `reasonrank` and `scontrol`."""
    world = small_world(tmp_path / "world", ["biology"])
    programs = tmp_path / "bin"
    programs.mkdir()
    command = f'exec {sys.executable} -c "from reasonrank_pyserini.cli import main; main()" "$@"'
    for name, line in {"reasonrank": command, "scontrol": f'echo "$@" >> {tmp_path}/scontrol.log'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    with HubServer(world.files) as hub:
        yield tmp_path, {**world.environment(hub), "PATH": f"{programs}:{os.environ['PATH']}"}


def arguments(place: Path, server: Server) -> list[str]:
    asked = ["--base-url", server.url, "--api", "chat", "--model", "tiny", "--engine-arg", "concurrency=1"]
    return [
        "bright",
        "reasonrank-7b",
        "out",
        *asked,
        "--tasks",
        "biology",
        "--runs",
        str(place / "world" / "runs"),
    ]


def test_a_job_that_is_told_to_stop_queues_itself_again(place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    with Server(models=["tiny"], stall_after=WINDOWS // 2) as server:
        recipe = ["bash", str(RECIPES / "requeue.sbatch"), *arguments(folder, server)]
        job = subprocess.Popen(recipe, env={**env, "SLURM_JOB_ID": "77"}, cwd=folder, stderr=subprocess.PIPE)
        server.until_stalled(1, job)
        job.send_signal(signal.SIGUSR1)
        job.communicate(timeout=60)
        assert job.returncode == 75
        assert (folder / "scontrol.log").read_text() == "requeue 77\n"
        server.stall_after = None
        again = subprocess.run(
            recipe, env={**env, "SLURM_JOB_ID": "77"}, cwd=folder, check=False, capture_output=True
        )
        assert again.returncode == 4
        assert len(server.requests) <= WINDOWS + 1
    assert (folder / "scontrol.log").read_text() == "requeue 77\n", "only a stopped job is queued again"
    assert (folder / "out" / "leaderboard.md").is_file()


def test_an_array_of_jobs_and_the_merge(place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    with Server(models=["tiny"]) as server:
        for number in ("1", "2"):
            part = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_COUNT": "2"}
            recipe = ["bash", str(RECIPES / "array.sbatch"), *arguments(folder, server)]
            subprocess.run(recipe, env={**env, **part}, cwd=folder, check=True, capture_output=True)
        assert len(server.requests) == WINDOWS
        merge = ["reasonrank", "reproduce", "bright", *arguments(folder, server)[3:], "-o", "out", "--merge"]
        done = subprocess.run(merge, env=env, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert (folder / "out" / "biology" / "run.trec").is_file()
