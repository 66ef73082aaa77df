"""Whole runs in a Ray cluster of this machine: how they end, what they write, and vLLM itself as the server."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from commands import reasonrank
from ends_with_parent import watch
from fake_vllm_server import FakeVLLM
from ray_cluster import TOKEN, RayCluster
from ray_kit import NEEDS_RAY, actor_of, cluster, fake, ray_child_of, token
from test_runs_over_servers import QUERIES, Run, requests_file
from vllm_kit import gone

from reasonrank_pyserini.engines.journal.upkeep import inspect

__all__ = ["cluster", "fake", "token"]  # fixtures

pytestmark = NEEDS_RAY

DRIVER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from ray_kit import Engine, FakeVLLM, Wish
from pathlib import Path

class There(FakeVLLM):
    def __post_init__(self):
        self.python = self.folder / "python"

async def work():
    run = Engine(There(Path(sys.argv[2])), sys.argv[3], Wish(replicas=2))
    async with run.engine:
        await asyncio.gather(*run.ask(4))

asyncio.run(work())
"""


@pytest.mark.parametrize(("number", "ends_with"), [(signal.SIGKILL, -9), (signal.SIGINT, -2)])
def test_servers_end_with_the_driver(
    cluster: RayCluster, fake: FakeVLLM, number: signal.Signals, ends_with: int
) -> None:
    fake.on("hold")
    if number == signal.SIGKILL:
        fake.on("deaf")
    words = [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(fake.folder), cluster.address]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    fake.wait(lambda: len(fake.events("asked")) == 4)
    others = [actor_of(pid).pid for pid in fake.pids()]
    others += [child.pid for child in psutil.Process(driver.pid).children(recursive=True)]
    driver.send_signal(number)
    output, errors = driver.communicate(timeout=400)
    assert (driver.returncode, output) == (ends_with, b""), errors.decode()
    assert gone([*fake.pids(), *others])


OWN = (
    DRIVER.replace(
        "async def work", "import ray\nray.init(num_cpus=2, include_dashboard=False)\n\nasync def work"
    )
    + """
assert ray.get(ray.remote(lambda: 7).remote()) == 7
"""
)


def test_a_cluster_of_the_users_own_is_used_and_left_running(fake: FakeVLLM) -> None:
    words = [sys.executable, "-c", OWN, str(Path(__file__).parent), str(fake.folder), "auto"]
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        changes = {"HOME": folder, "RAY_TMPDIR": folder}  # Ray keeps a token at home
        environment = {name: value for name, value in os.environ.items() if name not in TOKEN} | changes
        done = subprocess.run(words, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(fake.events("answered")) == 4


def test_a_run_in_the_cluster_is_the_run_of_one_child(
    cluster: RayCluster, fake: FakeVLLM, tmp_path: Path
) -> None:
    """Half way the connection to the cluster is lost: status 75, and the same command continues."""
    requests = requests_file(tmp_path, QUERIES)
    whole = Run(fake, requests, tmp_path / "whole")
    assert whole.here().returncode == 0
    calls = len(fake.events("asked"))
    more = ("--ray", cluster.address, "--replicas", "2", "--engine-arg", "max_num_seqs=2")
    job = Run(fake, requests, tmp_path / "job", *more)
    fake.on("answers", "4")
    process = job.start()
    watcher = watch(process)
    fake.wait(lambda: job.answers())
    ray_child_of(process.pid).kill()
    said = process.communicate(timeout=400)[1].decode()
    assert process.returncode == 75, said
    watcher.kill()
    watcher.wait()
    assert "the same command continues" in said
    fake.off("answers")
    kept, before = job.answers(), len(fake.events("asked"))
    done = job.here()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queries"] == QUERIES  # one line, the command's own
    assert len(fake.events("asked")) - before == calls - kept
    assert job.trec() == whole.trec()
    details = json.loads((tmp_path / "job" / "manifest.json").read_text())["engine"]["details"]
    urls = {server["url"] for server in details["servers"]}
    assert urls == details["ray"]["nodes"].keys()
    assert gone(fake.pids())


def totals(folder: Path) -> tuple[int, int]:
    """Answers and requests of all servers of a run."""
    servers = json.loads((folder / "manifest.json").read_text())["engine"]["details"]["servers"]
    return sum(server["answers"] for server in servers), sum(server["requests"] for server in servers)


@pytest.mark.vllm
@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_in_the_cluster_writes_the_run_of_one_child(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half way an actor is killed: nothing is lost, and only what was in flight there is asked again."""
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "1")
    requests = requests_file(tmp_path, 4)
    words = ["rerank", "--requests", str(requests), "--model", "nano", "--engine", "vllm"]
    words += ["--engine-arg", "kv_cache_memory_bytes=268435456", "max_num_seqs=4"]
    assert reasonrank(*words, "-o", tmp_path / "one").returncode == 0
    job = [*words, "--ray", cluster.address, "--replicas", "2", "-o", tmp_path / "two"]
    process = subprocess.Popen(
        [sys.executable, "-m", "reasonrank_pyserini", *map(str, job)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    watcher = watch(process)
    journal = tmp_path / "two" / "journal"
    deadline = time.monotonic() + 800
    while not (journal.is_dir() and inspect(journal).keys):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    actors = cluster.actors()
    below = [child.pid for actor in actors for child in actor.children(recursive=True)]
    actors[0].kill()
    said = process.communicate(timeout=800)[1].decode()
    watcher.kill()
    watcher.wait()
    assert process.returncode == 0, said
    assert (tmp_path / "two" / "run.trec").read_bytes() == (tmp_path / "one" / "run.trec").read_bytes()
    answers, requests_sent = zip(*(totals(tmp_path / name) for name in ("one", "two")), strict=True)
    assert answers[0] == answers[1] == requests_sent[0]
    assert requests_sent[1] <= requests_sent[0] + 8  # 4 run and 4 wait at a server
    assert gone([*below, *(actor.pid for actor in actors)])
