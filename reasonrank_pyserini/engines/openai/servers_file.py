"""FileServers: the addresses in a file, one a line, which is read again while calls are under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...errors import InputError, one_line
from ..servers import Watcher
from .http_address import server_address

log = logging.getLogger(__name__)

SECONDS = 1.0
"""Between two readings."""
LARGEST = 1 << 20
"""Characters that are read."""


class FileServers:
    """Servers that join and leave by a line of a file, such as the jobs of a batch system.

    An empty line or one that starts with `#` has no address. A line that is not an address is left out, with a
    warning. A file that temporarily cannot be read changes nothing. While the file lists no server, calls wait,
    for at most `patience` seconds.
    """

    drain = True

    def __init__(self, path: Path, *, patience: float) -> None:
        self.path, self.patience = path, patience
        self._urls: tuple[str, ...] = ()
        self._bad: set[str] = set()
        self._ended: str | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, watcher: Watcher) -> None:
        """Read the file; InputError when it cannot be read."""
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"the servers file {self.path} is not a regular file")
        try:
            text = await asyncio.to_thread(self._text)
        except (OSError, UnicodeError) as error:
            raise InputError(f"the servers file {self.path} cannot be read: {one_line(error)}") from None
        self._urls = self._read(text, strict=True)
        if not self._urls:
            log.warning("reasonrank: %s lists no server yet: waiting for a line with an address", self.path)
        self._reading = asyncio.create_task(self._watch(watcher))

    def addresses(self) -> Sequence[str]:
        return self._urls

    def ended(self) -> str | None:
        return self._ended or (f"{self.path} lists only these servers" if self._urls else None)

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _text(self) -> str:
        with self.path.open(encoding="utf-8-sig") as stream:
            return stream.read(LARGEST)

    async def _watch(self, watcher: Watcher) -> None:
        try:
            await self._follow(watcher)
        except Exception as error:
            self._urls, self._ended = (), f"{self.path} cannot be followed: {one_line(error)}"
            watcher.changed()

    async def _follow(self, watcher: Watcher) -> None:
        clock, before = asyncio.get_running_loop().time, self._urls
        seen = clock()
        while True:
            await asyncio.sleep(SECONDS)
            with suppress(OSError, UnicodeError):
                self._urls = self._read(await asyncio.to_thread(self._text))
            if self._urls:
                seen, self._ended = clock(), None
            elif clock() - seen > self.patience and self._ended is None:
                self._ended = f"{self.path} has listed no server for {self.patience:g} s (max_wait)"
                watcher.changed()
            if before != self._urls:
                came, went = set(self._urls) - set(before), set(before) - set(self._urls)
                for words, urls in (("server joined", came), ("server removed", went)):
                    if urls:
                        log.warning("reasonrank: %s: %s", words, ", ".join(sorted(urls)))
                before = self._urls
                watcher.changed()

    def _read(self, text: str, *, strict: bool = False) -> tuple[str, ...]:
        """The addresses; a last line without its end is still being written, except at the start."""
        whole = text if strict or text.endswith("\n") else text[: text.rfind("\n") + 1]
        found = []
        for line in map(str.strip, whole.splitlines()):
            if not line or line.startswith("#"):
                continue
            try:
                found.append(server_address(line))
            except InputError as error:
                if strict:
                    raise InputError(f"{self.path}: {error}") from None
                if line not in self._bad:
                    self._bad.add(line)
                    log.warning("reasonrank: %s: %s", self.path, error)
        return tuple(dict.fromkeys(found))
