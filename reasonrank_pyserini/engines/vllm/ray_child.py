"""Runs servers in a Ray cluster for the process that started this one: `python -m ...ray_child`.

Ray has a process of its own, since it ends the process that is connected once the cluster's head is gone, replaces
signal handlers that a JVM needs, and prints on stdout. Orders come from stdin (`ray_messages`), reports go to stdout, a
line each; what Ray prints goes to stderr. When stdin ends, for whatever reason, all servers are ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import re
import socket
import sys
import threading
from contextlib import suppress
from typing import Any, TextIO

from ...errors import InputError, one_line
from .ray_actor import ServerActor
from .ray_messages import Begin, ClusterJob, End, Report

STOP = 12.0
"""Seconds that one server may take to end before Ray kills its process."""
PROBE = 10.0
"""Seconds that the cluster's head may take to accept a connection."""
LONGEST_STOP = 20.0
"""Seconds after which this process ends in any case; Ray then ends what it had started."""

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_DEAD = re.compile(r"The actor is dead because ([^.\n]+)")


class Cluster:
    """The servers of one job in the cluster."""

    def __init__(self, job: ClusterJob, reports: TextIO) -> None:
        self.job, self._reports = job, reports
        self._lives: dict[int, asyncio.Task[None]] = {}
        self._orders: asyncio.Queue[Begin | End | None] = asyncio.Queue()
        self._joined = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read_orders, args=(loop,), daemon=True).start()
        try:
            room = await asyncio.to_thread(join, self.job)
        except Exception as error:
            self._report(Report("failed", error=InputError.__name__, text=_advice(self.job.address, error)))
            return
        self._joined = True
        self._report(Report("joined", room=room))
        while (order := await self._orders.get()) is not None:
            if isinstance(order, Begin):
                self._lives[order.life] = asyncio.create_task(self._live(order))
            elif (task := self._lives.pop(order.life, None)) is not None:
                task.cancel()
        for task in self._lives.values():
            task.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    def _read_orders(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(EOFError, pickle.UnpicklingError):
            while True:
                loop.call_soon_threadsafe(self._orders.put_nowait, pickle.load(sys.stdin.buffer))
        if not self._joined:
            os._exit(0)
        loop.call_soon_threadsafe(self._orders.put_nowait, None)
        limit = threading.Timer(LONGEST_STOP, os._exit, (1,))
        limit.daemon = True
        limit.start()

    async def _live(self, order: Begin) -> None:
        """One server, from the wait for a place to its end."""
        import ray

        job, placed = self.job, False
        actor: Any = ray.remote(ServerActor)
        actor = actor.options(num_cpus=1, num_gpus=job.gpus, scheduling_strategy="SPREAD").remote()
        try:
            node = await actor.node.remote()
            placed = True
            self._report(Report("placed", order.life, node))
            url, error, why = await actor.until_ready.remote(job.command, job.key, job.model, order.log)
            if not url:
                self._report(Report("refused", order.life, why, error))
                return
            self._report(Report("ready", order.life, url))
            self._report(Report("ended", order.life, await actor.until_ended.remote()))
        except Exception as failure:
            self._report(_loss(order.life, failure))
        finally:
            if placed:
                with suppress(ray.exceptions.RayError, TimeoutError):
                    await asyncio.wait_for(_done(actor.stop.remote()), STOP)
            ray.kill(actor)

    def _report(self, report: Report) -> None:
        with suppress(BrokenPipeError):
            self._reports.write(report.line())


async def _done(reference: Any) -> None:
    await reference


def join(job: ClusterJob) -> int:
    """Connect to the cluster; how many servers fit into its nodes of now."""
    import ray

    if job.address != "auto":  # Ray itself would try for minutes
        host, _, port = job.address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE).close()
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(job.address, log_to_driver=False, configure_logging=False)
    wanted, each = ("GPU", job.gpus) if job.gpus else ("CPU", 1)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(resources.get(wanted, 0)) // each for resources in nodes)


def _advice(address: str, error: Exception) -> str:
    found = error.__cause__ is not None
    if address == "auto" and isinstance(error, ConnectionError) and not found:
        return (
            "no Ray cluster is running on this machine: type `ray start --head` (on further machines `ray start "
            "--address HOST:6379`)"
        )
    advice = "; a cluster with tokens needs RAY_AUTH_MODE=token and the token here, too" if found else ""
    return f"the Ray cluster {address!r} cannot be used from this machine: {one_line(error)}{advice}"


def _loss(life: int, error: Exception) -> Report:
    """Why Ray has no actor for a server any more: `lost`, or `refused` where another would not help."""
    text = str(error)
    if missing := _MISSING.search(text):
        why = (
            f"a node of the Ray cluster has no module {missing[1]!r}: install the same packages on every node"
        )
        return Report("refused", life, why, InputError.__name__)
    if dead := _DEAD.search(text):
        return Report("lost", life, f"the actor is dead because {one_line(dead[1])}")
    return Report("lost", life, one_line(text, limit=300))


def main() -> None:
    reports = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    job = pickle.load(sys.stdin.buffer)
    asyncio.run(Cluster(job, reports).run())
    if (ray := sys.modules.get("ray")) is not None:
        ray.shutdown()
    os._exit(0)  # a thread may still be reading stdin


if __name__ == "__main__":
    main()
