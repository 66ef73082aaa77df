"""ServerActor: what Ray runs on a node of the cluster, one vLLM server each."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ...errors import ReasonRankError
from .local_servers import LocalLife, Place
from .vllm_command import PROCESSOR_FOLDER, ServeCommand


class ServerActor:
    """One server of this node. Results are plain values: Ray cannot carry every exception.

    The server ends with this process, however it ends.
    """

    def __init__(self) -> None:
        self._life: LocalLife | None = None

    async def node(self) -> str:
        """The node's address, by which the other nodes reach it."""
        return node_address()

    async def until_ready(
        self, command: ServeCommand, key: str, model: str, log: Path | None
    ) -> tuple[str, str, str]:
        """Start the server: its address once it is ready; else empty, with the error's class and message."""
        _undo_limits()
        place = Place(key, host=node_address())
        kept = log if log is not None and log.parent.is_dir() else None
        self._life = LocalLife(_of_this_node(command), {}, place, kept, model)
        try:
            await self._life.until_ready()
        except ReasonRankError as error:
            return "", type(error).__name__, str(error)
        return self._life.url, "", ""

    async def until_ended(self) -> str:
        """Why the server ended."""
        assert self._life is not None
        return await self._life.until_ended()

    async def stop(self) -> None:
        if self._life is not None:
            await self._life.stop()


def node_address() -> str:
    import ray

    address: str = ray.util.get_node_ip_address()
    return address


def _of_this_node(command: ServeCommand) -> ServeCommand:
    """The command with the Python path of this node: its copy of the package may be in another folder."""
    folders = [str(PROCESSOR_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**command.environment, "PYTHONPATH": os.pathsep.join(folders)}
    return replace(command, environment=environment)


def _undo_limits() -> None:
    """What Ray does to its own processes is not for vLLM: one OpenMP thread, unless the node's environment says
    otherwise, and a low priority, which only root can raise again."""
    with (
        suppress(OSError),
        open("/proc/self/environ", "rb") as stream,
    ):  # this process's environment as Ray started it
        if b"OMP_NUM_THREADS=" not in stream.read():
            os.environ.pop("OMP_NUM_THREADS", None)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # of this thread, and so of all that it starts
