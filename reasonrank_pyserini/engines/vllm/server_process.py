"""ServerProcess: one vLLM server of this machine, from its start to the end of its last process."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ...errors import OutputError, one_line
from .serve_child import GRACE, kill_group
from .vllm_command import MODULE, ServeCommand, option_words

CHILD = Path(__file__).with_name("serve_child.py")
PROBE_SECONDS = 2.0


class ServerProcess:
    """A server on a free port; its methods block for at most a few seconds.

    `url` is its base URL. The API key goes to it in the environment, so it is in no file and in no list of processes.
    Its output is appended to `log`, None: to an unnamed file.
    """

    def __init__(
        self, command: ServeCommand, added: Mapping[str, str], host: str, key: str, log: Path | None
    ) -> None:
        self.port = free_port(host)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"
        self._host, self._key = host, key
        self._log = _opened(log)
        self._log.seek(0, os.SEEK_END)
        self._begin = self._log.tell()
        words = [command.python, "-I", str(CHILD), str(os.getpid()), MODULE, *command.arguments]
        words += option_words({"host": host, "port": self.port})
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, **command.environment, **added, "VLLM_API_KEY": key},
                start_new_session=True,
            )
        except OSError:
            self._log.close()
            raise
        self.pid = self._process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def ready(self) -> bool:
        """Whether it is this server that answers at its port: its user listens there, and it takes this run's key."""
        return _is_ours(self.port) and self._answers("/v1/models", {"Authorization": f"Bearer {self._key}"})

    def healthy(self) -> bool:
        """Whether it answers /health with 200."""
        return self._answers("/health", {})

    def _answers(self, path: str, headers: Mapping[str, str]) -> bool:
        connection = http.client.HTTPConnection(self._host, self.port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", path, headers=dict(headers))
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def output(self, limit: int = 1 << 20) -> str:
        """What it has written since its start, at most the last `limit` bytes."""
        if self._log.closed:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        start = max(self._begin, size - limit)
        return os.pread(self._log.fileno(), size - start, start).decode("utf-8", "replace")

    def stop(self) -> None:
        """End all its processes; in order first, at once after a few seconds."""
        if self.alive():
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2 * GRACE)
        kill_group(self.pid)
        self._process.wait()
        self._log.close()


def _opened(log: Path | None) -> BinaryIO:
    if log is None:
        return tempfile.TemporaryFile()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return open(log, "a+b")
    except OSError as error:
        raise OutputError(f"the server's log {log} cannot be written: {one_line(error)}") from None


def _is_ours(port: int) -> bool:
    """Whether this user alone is seen to listen at a port; True where the system has no /proc/net.

    A table that changes while it is read may lack a row, so a port without a listener is not yet ours.
    """
    owners, tables = set(), 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table) as stream:
            tables += 1
            for row in map(str.split, stream):
                # address, state (0A: listening) and user are fields 1, 3 and 7
                if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port:
                    owners.add(int(row[7]))
    return owners == {os.getuid()} or not tables


_given: set[int] = set()


def free_port(host: str) -> int:
    """A port of that address that nobody listens at and that was not given before."""
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port
