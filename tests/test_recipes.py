"""The cluster recipes of eval/reproduction, run by bash; batch system, vLLM and Ray are replaced by small scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from benchmark_world import small_world
from http_server import Server
from hub_server import HubServer

from reasonrank_pyserini.cli import fetch, reproduce

RECIPES = Path(__file__).parents[1] / "eval" / "reproduction"
SCRIPTS = sorted([*RECIPES.glob("*.sh"), *RECIPES.glob("*.sbatch")])
FILES = [*SCRIPTS, RECIPES / "kuberay.yaml"]
WINDOWS = 4 * 3
VLLM = """
echo "$@" > "vllm-$SLURM_ARRAY_TASK_ID.arguments"
echo "$VLLM_API_KEY" > "vllm-$SLURM_ARRAY_TASK_ID.key"
echo $$ > "vllm-$SLURM_ARRAY_TASK_ID.pid"
mkdir -p served && touch served/health
exec python3 -m http.server --bind 127.0.0.1 --directory served "$4"
"""
"""`vllm serve MODEL --port PORT` of a server that is healthy at once and knows nothing else."""
SCONTROL = 'if [ "$1" = show ]; then echo "$SLURMD_NODENAME"; else echo "$@" >> scontrol.log; fi'
RAY = 'echo "$@" > ray.arguments; while [ "$1" != -- ]; do shift; done; shift; "$@"'
DRIVER = """
echo "$@" > driver.arguments
trap 'kill $!; exit 75' USR1
sleep 600 & touch driver.ready; wait
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a world in it, and the environment in which recipes find `reasonrank` and `scontrol`."""
    world = small_world(tmp_path / "world", ["biology"])
    command = f'exec {sys.executable} -c "from reasonrank_pyserini.cli import main; main()" "$@"'
    path = programs(tmp_path, reasonrank=command, scontrol=SCONTROL)
    with HubServer(world.files) as hub:
        yield tmp_path, {**world.environment(hub), **path}


def programs(folder: Path, **scripts: str) -> dict[str, str]:
    """The PATH on which programs of these names run these scripts."""
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def start(folder: Path, env: dict[str, str], recipe: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = ["bash", str(RECIPES / recipe), *arguments]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stderr=subprocess.DEVNULL)


def until(condition: Callable[[], bool], *jobs: subprocess.Popen[bytes]) -> None:
    """Wait until it holds, which it does for as long as the jobs run."""
    while not condition():
        assert all(job.poll() is None for job in jobs)
        time.sleep(0.05)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def runs(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def reproduce_commands(recipe: Path) -> list[str]:
    """The `reasonrank` commands of a file, its comments included, each as one line."""
    text = re.sub(r"\\\n(# +)?", " ", recipe.read_text())
    return re.findall(r"\breasonrank (?:reproduce|fetch) .*", text)


@pytest.mark.parametrize("recipe", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_every_recipe(recipe: Path) -> None:
    done = subprocess.run(["bash", "-n", str(recipe)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("recipe", FILES, ids=lambda path: path.name)
def test_the_recipes_use_options_that_exist(recipe: Path) -> None:
    known = {"reproduce": reproduce.command, "fetch": fetch.command}
    found = reproduce_commands(recipe)
    assert found
    for line in found:
        options = {option for one in known[line.split()[1]].params for option in one.opts}
        used = re.findall(r"(?<=\s)--?[a-z][a-z-]*", line)
        assert used, line
        assert set(used) <= options, line


def test_kuberay_has_a_gpu_for_every_replica() -> None:
    (job,) = yaml.safe_load_all((RECIPES / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [container for pod in pods for container in pod["template"]["spec"]["containers"]]
    assert len({container["image"] for container in containers}) == 1
    gpus = [
        group["replicas"] * int(container["resources"]["limits"]["nvidia.com/gpu"])
        for group in cluster["workerGroupSpecs"]
        for container in group["template"]["spec"]["containers"]
    ]
    words = job["spec"]["entrypoint"].split()
    assert int(words[words.index("--replicas") + 1]) == sum(gpus)
    for pod in pods:
        spec = pod["template"]["spec"]
        mounted = {mount["name"] for one in spec["containers"] for mount in one["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_servers_join_and_leave_the_list(tmp_path: Path) -> None:
    servers = tmp_path / "servers.txt"
    env = {
        **programs(tmp_path, vllm=VLLM, scontrol=SCONTROL),
        "VLLM_API_KEY": "a-secret-word",
        "SLURM_ARRAY_JOB_ID": "40",
        "DRAIN_SECONDS": "0",
    }
    jobs = {}
    for task, job_id in (("1", "41"), ("2", "40")):  # the id of the array's last job is that of the array
        own = {"SLURM_ARRAY_TASK_ID": task, "SLURM_JOB_ID": job_id}
        jobs[task] = start(
            tmp_path, env | own, "slurm-servers.sbatch", "nano", str(servers), "--max-model-len", "99"
        )
        until(lambda task=task: len(lines(servers)) == int(task), *jobs.values())
    first, second = lines(servers)
    given = (tmp_path / "vllm-2.arguments").read_text().split()
    assert given == ["serve", "nano", "--port", given[3], "--max-model-len", "99"], "no key"
    assert (tmp_path / "vllm-2.key").read_text() == "a-secret-word\n"
    assert re.fullmatch(rf"http://[^/:]+:{given[3]}/v1", second)

    jobs["1"].send_signal(signal.SIGUSR1)
    until(lambda: lines(servers) == [second], jobs["2"])
    assert jobs["1"].wait(600) == 0
    assert lines(tmp_path / "scontrol.log") == ["requeue 40_1"]
    assert [runs(tmp_path / f"vllm-{task}.pid") for task in "12"] == [False, True]

    jobs["2"].send_signal(signal.SIGTERM)
    assert jobs["2"].wait(600) == 0
    assert lines(servers) == []
    assert lines(tmp_path / "scontrol.log") == ["requeue 40_1"], (
        "only a job whose time is over is queued again"
    )
    assert not runs(tmp_path / "vllm-2.pid")
    assert first != second


def test_a_server_that_cannot_start_is_not_in_the_list(tmp_path: Path) -> None:
    env = {**programs(tmp_path, vllm="exit 3"), "VLLM_API_KEY": "x", "SLURM_JOB_ID": "7"}
    job = start(tmp_path, env, "slurm-servers.sbatch", "nano", str(tmp_path / "servers.txt"))
    assert job.wait(600) == 3
    assert (tmp_path / "servers.txt").read_text() == ""


def test_the_line_of_a_killed_server_is_removed(tmp_path: Path) -> None:
    servers = tmp_path / "servers.txt"
    servers.write_text("# ours\nhttp://other:1/v1\n")
    env = {
        **programs(tmp_path, vllm=VLLM),
        "VLLM_API_KEY": "x",
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_ARRAY_JOB_ID": "7",
    }
    job = start(tmp_path, env, "slurm-servers.sbatch", "nano", str(servers))
    until(lambda: len(lines(servers)) == 3, job)
    os.kill(int((tmp_path / "vllm-1.pid").read_text()), signal.SIGKILL)
    assert job.wait(600) == 128 + signal.SIGKILL
    assert lines(servers) == ["# ours", "http://other:1/v1"]


def test_without_a_key_no_server_is_started(tmp_path: Path) -> None:
    env = {**programs(tmp_path, vllm="touch started"), "SLURM_JOB_ID": "7", "VLLM_API_KEY": ""}
    assert start(tmp_path, env, "slurm-servers.sbatch", "nano", str(tmp_path / "servers.txt")).wait(600)
    assert not (tmp_path / "started").exists()


def test_only_the_driver_of_a_ray_job_gets_the_signal(tmp_path: Path) -> None:
    env = {
        **programs(tmp_path, srun='"$@"', scontrol=SCONTROL, ray=RAY, reasonrank=DRIVER),
        "TMPDIR": str(tmp_path),
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "8",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURMD_NODENAME": "node1",
    }
    job = start(tmp_path, env, "slurm-ray.sbatch", "bright", "reasonrank-7b", "an out", "--limit", "3")
    until((tmp_path / "driver.ready").exists, job)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(600) == 75
    assert lines(tmp_path / "scontrol.log") == ["requeue 77"]
    asked = "reproduce bright --condition reasonrank-7b --limit 3 --ray auto --replicas 16 -o an out"
    assert lines(tmp_path / "driver.arguments") == [asked]
    (ray,) = lines(tmp_path / "ray.arguments")
    assert ray.startswith("symmetric-run --address node1:6379 --min-nodes 2 -- bash -c ")
    assert not list(tmp_path.glob("tmp.*")), "the file with the driver's process id"


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


def test_a_job_whose_time_is_over_queues_itself_again(place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    with Server(models=["tiny"], stall_after=WINDOWS // 2) as server:
        recipe = ["bash", str(RECIPES / "requeue.sbatch"), *arguments(folder, server)]
        job = subprocess.Popen(recipe, env={**env, "SLURM_JOB_ID": "77"}, cwd=folder, stderr=subprocess.PIPE)
        server.until_stalled(1, job)
        job.send_signal(signal.SIGUSR1)
        job.communicate(timeout=600)
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
