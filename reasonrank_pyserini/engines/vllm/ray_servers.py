"""RayServers: vLLM servers that run on the nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import EngineDiedError, EngineError, InputError, MissingPackageError, one_line
from ...lazy import INSTALL
from ..servers import Watcher
from .kept_servers import KeptServers, LostError
from .ray_messages import Begin, ClusterJob, End, Report

log = logging.getLogger(__name__)

MODULE = "reasonrank_pyserini.engines.vllm.ray_child"
ROOT = Path(__file__).parents[3]
PATIENCE = 600.0
"""Seconds that servers wait for a place in the cluster while no other server has one."""
JOIN = 120.0
"""Seconds to connect to a cluster."""
STOP = 25.0
"""Seconds for the end of all servers; `ray_child` takes at most 20."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a cluster: `replicas` servers, None for as many as its GPUs allow.

    Each waits for a place as long as another server has one, else for at most `patience` seconds.
    """

    replicas: int | None = None
    patience: float = PATIENCE


def check_ray(address: str) -> None:
    """Raise InputError for an address that cannot be used, MissingPackageError without Ray."""
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal() and "/" not in host):
        raise InputError(
            f"the Ray address {address!r} cannot be used: give `ray` auto or HOST:PORT, on a node of the cluster"
        )
    if importlib.util.find_spec("ray") is None:
        raise MissingPackageError("ray", "the vllm engine with `ray`", INSTALL["ray"])


class RayServers(KeptServers):
    """Servers that Ray places on nodes with enough free GPUs; those that come late are used from then on.

    A server whose node is lost is started elsewhere. Ray runs in a child process (`ray_child` says why); when the
    cluster's head is gone, so are all servers.
    """

    def __init__(self, job: ClusterJob, wish: Wish, logs: Path | None = None) -> None:
        super().__init__()
        self.job, self.wish, self.logs = job, wish, logs
        self.nodes: dict[str, str] = {}
        self.lives: dict[int, RayLife] = {}
        self.numbers = itertools.count(1)
        self._joined: asyncio.Future[Report] | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._output: BinaryIO | None = None
        self.broken: str | None = None

    @property
    def details(self) -> Mapping[str, Any]:
        """For a manifest: the cluster's address as it was given, and by each server's address its node."""
        return {"ray": {"address": self.job.address, "nodes": dict(self.nodes)}}

    async def start(self, watcher: Watcher) -> None:
        joined = await self._connect()
        count = self.wish.replicas if self.wish.replicas is not None else joined.room
        each = f"{self.job.gpus} free GPUs" if self.job.gpus else "a free processor"
        if self.wish.replicas is None and self.job.gpus == 0:
            count = 1
        if count < 1:
            raise InputError(
                f"no node of the Ray cluster {self.job.address!r} has the {self.job.gpus} GPUs of one server: give "
                "`replicas` to wait for such nodes, or lower tensor_parallel_size"
            )
        if count > joined.room:
            log.warning(
                "reasonrank: the Ray cluster has room for %d of %d servers: the others start once nodes with %s join",
                joined.room, count, each,
            )  # fmt: skip
        await self.start_all(count, watcher)

    def life(self, number: int) -> RayLife:
        return RayLife(self, self.logs and self.logs / f"vllm-{number}.log")

    def placed(self) -> bool:
        """Whether any server has a place in the cluster."""
        return any(life.placed.is_set() for life in self.lives.values())

    async def order(self, order: ClusterJob | Begin | End) -> None:
        """Send an order to the child; nothing when it is gone."""
        child = self._child
        if child is not None and child.stdin is not None and not child.stdin.is_closing():
            with contextlib.suppress(ConnectionError):
                child.stdin.write(pickle.dumps(order))
                await child.stdin.drain()

    async def stop(self) -> None:
        await super().stop()
        child, self._child = self._child, None
        if child is not None:
            assert child.stdin is not None
            child.stdin.close()
            try:
                async with asyncio.timeout(STOP):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._output is not None:
            self._output.close()

    async def _connect(self) -> Report:
        """Start the child and let it join the cluster; InputError, with what to type, where it cannot."""
        self._joined = asyncio.get_running_loop().create_future()
        self._output = self._open_output()
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", MODULE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._output, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"},
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen(self._child))
        address = self.job.address
        await self.order(
            replace(self.job, address=(_own_cluster() if address == "auto" else None) or address)
        )
        try:
            async with asyncio.timeout(JOIN):
                report = await self._joined
        except TimeoutError:
            raise EngineError(
                f"the Ray cluster {self.job.address!r} has not answered for {JOIN:g} s"
            ) from None
        if report.about == "failed":
            raise report.exception()
        return report

    def _open_output(self) -> BinaryIO:
        """Where Ray's own messages go."""
        if self.logs is None:
            return tempfile.TemporaryFile()
        self.logs.mkdir(parents=True, exist_ok=True)
        return open(self.logs / "ray.log", "ab")

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        assert self._joined is not None
        async for line in child.stdout:
            try:
                report = Report.read(line)
            except (ValueError, TypeError):  # printed by something else
                log.info("ray: %s", one_line(line.decode("utf-8", "replace")))
                continue
            if report.about in ("joined", "failed"):
                if not self._joined.done():  # it is when the start was cancelled
                    self._joined.set_result(report)
            elif (life := self.lives.get(report.life)) is not None:
                life.take(report)
        where = "" if self.logs is None else f" (log: {self.logs / 'ray.log'})"
        self.broken = f"the connection to the Ray cluster {self.job.address!r} is lost{where}"
        for life in self.lives.values():
            life.take(Report("lost", life.number, self.broken))
        if not self._joined.done():
            self._joined.set_result(Report("failed", text=self.broken))


def _own_cluster() -> str | None:
    """The address of the cluster that the user has connected this very process to."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


class RayLife:
    """One server in the cluster."""

    def __init__(self, servers: RayServers, log: Path | None) -> None:
        self.servers, self._log = servers, log
        self.url, self.log = "", "" if log is None else str(log)
        self.number = next(servers.numbers)
        self.placed = asyncio.Event()
        self._outcome: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def take(self, report: Report) -> None:
        """A report about this server."""
        if report.about == "placed":
            self._node = report.text
            self.placed.set()
            return
        if not self._outcome.done():
            self._outcome.set_result(report)
        elif not self._end.done():
            self._end.set_result(report.text)

    async def until_ready(self) -> None:
        servers = self.servers
        if servers.broken is not None:
            raise EngineDiedError(servers.broken)
        servers.lives[self.number] = self
        await servers.order(Begin(self.number, self._log))
        await self._until_placed()
        report = await self._outcome
        if report.about == "refused":
            raise report.exception()
        if report.about == "lost":
            raise LostError(f"Ray lost it: {report.text}")
        self.url = report.text
        servers.nodes[self.url] = self._node

    async def until_ended(self) -> str:
        return await self._end

    async def stop(self) -> None:
        self.servers.lives.pop(self.number, None)
        await self.servers.order(End(self.number))

    async def _until_placed(self) -> None:
        """EngineError when no server of the cluster has had a place for too long."""
        place = asyncio.ensure_future(self.placed.wait())
        either: tuple[asyncio.Future[Any], ...] = (place, self._outcome)
        try:
            while True:
                patience = self.servers.wish.patience
                done, _ = await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return
                if not self.servers.placed():
                    raise EngineError(f"the Ray cluster has had no room for a server for {patience:g} s")
        finally:
            place.cancel()
