"""LocalServers: vLLM servers that this process starts on its own machine, watches and starts again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import EngineError
from ..servers import Watcher
from .kept_servers import KeptServers, LostError
from .server_process import ServerProcess
from .vllm_command import ServeCommand
from .vllm_errors import death_cause, startup_error

log = logging.getLogger(__name__)

MINUTE = 60.0
STEP = 0.2
"""Seconds between two looks at a server's process."""
LOOK = 10.0
"""Seconds between two questions to a server that works."""
HUNG = 180.0
"""Seconds without an answer to them after which a server is ended and started again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers run and what they share: the address they listen at, the API key, the folder of their logs."""

    key: str = field(repr=False)
    host: str = "127.0.0.1"
    logs: Path | None = None

    def log(self, number: int) -> Path | None:
        """The log of one server."""
        return self.logs and self.logs / f"vllm-{number}.log"


class LocalServers(KeptServers):
    """One server for each of the command's replicas, on free ports, usable only with the key.

    Servers end with this process, however it ends.
    """

    def __init__(self, command: ServeCommand, place: Place, model: str) -> None:
        super().__init__()
        self.command, self.place, self.model = command, place, model

    async def start(self, watcher: Watcher) -> None:
        await self.start_all(len(self.command.replicas), watcher)

    def life(self, number: int) -> LocalLife:
        added = self.command.replicas[number - 1]
        return LocalLife(self.command, added, self.place, self.place.log(number), self.model)


class LocalLife:
    """One server of this machine."""

    def __init__(
        self, command: ServeCommand, added: Mapping[str, str], place: Place, log: Path | None, model: str
    ) -> None:
        self.command, self.added, self.place, self.model = command, added, place, model
        self.url, self.log = "", "" if log is None else str(log)
        self._log = log
        self._starting: asyncio.Future[ServerProcess] | None = None

    async def until_ready(self) -> None:
        """Start the server and wait until it answers; EngineError or InputError, with the cause from its log."""
        place = self.place
        start = asyncio.to_thread(ServerProcess, self.command, self.added, place.host, place.key, self._log)
        self._starting = asyncio.ensure_future(start)
        try:
            process = await asyncio.shield(self._starting)
        except OSError as error:
            raise EngineError(f"vLLM could not be started: {error}") from error
        self.url = process.url
        clock = asyncio.get_running_loop().time
        begin = said = clock()
        while process.alive():
            if await asyncio.to_thread(process.ready) and process.alive():
                return
            await asyncio.sleep(STEP)
            if clock() - said > MINUTE:
                said = clock()
                where = f" (log: {self.log})" if self.log else ""
                log.warning("reasonrank: a vLLM server has been starting for %.0f s%s", said - begin, where)
        output = process.output()
        if "address already in use" in output.lower():
            raise LostError("another program took its port")
        raise startup_error(output, self.model)

    async def until_ended(self) -> str:
        """Why the server ended, or that it has not answered for `HUNG` seconds."""
        assert self._starting is not None
        process, clock = await self._starting, asyncio.get_running_loop().time
        heard = looked = clock()
        while process.alive():
            await asyncio.sleep(STEP)
            if clock() - looked > LOOK:
                looked = clock()
                if await asyncio.to_thread(process.healthy):
                    heard = clock()
                elif clock() - heard > HUNG:
                    return f"it has not answered for {HUNG:g} s"
        return death_cause(process.output())

    async def stop(self) -> None:
        if self._starting is not None:
            with suppress(OSError):
                process = await self._starting
                await asyncio.to_thread(process.stop)
