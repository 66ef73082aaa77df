"""A Ray cluster on this machine for tests: free ports, a folder of its own, more nodes, surely gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from ends_with_parent import watch
from ports import kept_port

SECONDS = 400
"""What a node may take to start, however slow the machine is."""
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
"""What everybody needs in the environment to use the cluster."""
ROOT = Path(__file__).parents[1]


class RayCluster:
    """`address` is for `ray`; `folder` has all that Ray writes, and no other cluster's."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # its sockets need a short path
        self.address = ""
        self._nodes: list[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]] = []
        self._ports = ExitStack()

    def head(self, cpus: int) -> None:
        """Start the head, a node itself."""
        own: tuple[str, ...] = (f"--temp-dir={self.folder}", "--include-dashboard=false")
        if importlib.util.find_spec("grpc"):  # without it Ray starts no server for remote clients
            own += (f"--ray-client-server-port={self._free_port()}",)
        self._start(cpus, "--head", "--port=0", "--num-gpus=0", *own)
        note, deadline = self.folder / "ray_current_cluster", time.monotonic() + SECONDS
        while not (note.is_file() and note.read_text().strip()):
            assert time.monotonic() < deadline, "Ray has not noted its address"
            time.sleep(0.05)
        self.address = note.read_text().strip()

    def node(self, cpus: int, gpus: int = 0) -> subprocess.Popen[bytes]:
        """A further node, which has joined when this returns."""
        return self._start(cpus, f"--address={self.address}", f"--num-gpus={gpus}")

    def _start(self, cpus: int, *arguments: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"start-{len(self._nodes)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-m",
                        "ray.scripts.scripts",
                        "start",
                        "--block",
                        "--disable-usage-stats",
                    ),
                    *(f"--num-cpus={cpus}",),
                    *(f"--dashboard-agent-listen-port={self._free_port()}", *arguments),
                    "--object-store-memory=100000000",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={
                    **os.environ,
                    **TOKEN,
                    "PYTHONPATH": str(ROOT),
                    "HF_HUB_OFFLINE": "1",
                    "VLLM_CPU_OMP_THREADS_BIND": "0",
                },
                start_new_session=True,
            )
        self._nodes.append((process, watch(process)))
        deadline = time.monotonic() + SECONDS
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        return process

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node at once, without a word to the others; its actors' processes notice that by themselves."""
        actors = self.actors()
        below = psutil.Process(node.pid).children(recursive=True)
        for process in [psutil.Process(node.pid), *below]:
            with suppress(psutil.NoSuchProcess):  # some end with those that were killed before them
                if process not in actors:
                    process.kill()
        node.wait()

    def actors(self) -> list[psutil.Process]:
        """The processes of the actors of this cluster."""
        nodes = [psutil.Process(node.pid) for node, _ in self._nodes if node.poll() is None]
        below = [child for node in nodes for child in node.children(recursive=True)]
        return [process for process in below if _name(process).startswith("ray::ServerActor")]

    def written(self) -> str:
        """All that Ray wrote into files."""
        texts = []
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # Ray removes some of its files
                if path.is_file() and not path.is_symlink():
                    texts.append(path.read_text(errors="replace"))
        return "\n".join(texts)

    def close(self) -> None:
        for process, watcher in reversed(self._nodes):
            self._end(process)
            watcher.kill()
            watcher.wait()
        self._ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _free_port(self) -> int:
        """A port that stays the cluster's."""
        return self._ports.enter_context(kept_port())

    def _end(self, node: subprocess.Popen[bytes]) -> None:
        below: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(node.pid).children(recursive=True)
        node.terminate()
        with suppress(subprocess.TimeoutExpired):
            node.wait(timeout=10)
        for process in [*below, node]:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
        node.wait()
        psutil.wait_procs(below, timeout=60)


@contextmanager
def ray_cluster(cpus: int) -> Iterator[RayCluster]:
    """A cluster whose head has that many processors."""
    cluster = RayCluster()
    try:
        cluster.head(cpus)
        yield cluster
    finally:
        cluster.close()


def _name(process: psutil.Process) -> str:
    """The name of a process, nothing if it has ended."""
    with suppress(psutil.NoSuchProcess):
        return process.name()
    return ""
