"""A real vLLM server on loopback for tests: started once, waited for, and surely gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ends_with_parent import watch
from ports import kept_port

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True)
class VLLMServer:
    """`url` ends in `/v1`; `model` is the name to send; `pid` leads the group of the server and its engine."""

    url: str
    model: str
    pid: int
    log: Path

    def kill(self) -> None:
        """End the server and its engine at once, as a crash would."""
        _kill_group(self.pid)


@contextmanager
def vllm_server(
    model: Path,
    *arguments: str,
    log: Path,
    name: str = "tiny",
    max_model_len: int = 4096,
    port: int | None = None,
    timeout: float = 800.0,
) -> Iterator[VLLMServer]:
    """A server of `model` under the name `name`, ready to answer; `arguments` go to vLLM's api_server.

    Its output is in `log`. `port` is free to choose, so that a killed server can come back under the same address.
    """
    with ExitStack() as stack:
        port = stack.enter_context(kept_port(port or 0))
        command = [
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)),
            *("--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)),
            *("--max-model-len", str(max_model_len), "--enforce-eager", "--dtype", "float32"),
            *arguments,
        ]
        output = stack.enter_context(log.open("ab"))
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **CPU_ENVIRONMENT},
            start_new_session=True,
        )
        watcher = watch(server)
        try:
            _wait_until_ready(server, f"http://127.0.0.1:{port}/health", log, timeout)
            yield VLLMServer(f"http://127.0.0.1:{port}/v1", name, server.pid, log)
        finally:
            _end(server)
            watcher.kill()
            watcher.wait()


@contextmanager
def coming_server(
    model: Path, *arguments: str, log: Path, name: str = "tiny"
) -> Iterator[Future[VLLMServer]]:
    """A server that is starting, while other work goes on: this halves the wait."""
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        yield pool.submit(stack.enter_context, vllm_server(model, *arguments, log=log, name=name))


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path, timeout: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(urllib.error.URLError, OSError), opener.open(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.25)
    why = f"ended with {server.returncode}" if server.poll() is not None else f"was not ready in {timeout} s"
    raise RuntimeError(f"the vLLM server {why}:\n" + log.read_text(errors="replace")[-4000:])


def _end(server: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, which ends its engine; then SIGKILL to whatever is left of its group."""
    if server.poll() is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=15)
    _kill_group(server.pid)
    server.wait(timeout=120)


def _kill_group(leader: int) -> None:
    """SIGKILL to the group's processes, but not to their resource tracker: it then clears the shared memory."""
    import psutil

    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) == leader and "resource_tracker" not in " ".join(process.cmdline()):
                process.kill()
