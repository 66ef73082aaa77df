"""An output folder that one process holds for one configuration: what rerankings and trainings share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, OutputError
from ..files.atomic import atomic_open
from ..files.caches import fingerprint
from ..files.locks import acquire_lock, differences, file_lock, held_configuration, read_json


class HeldFolder(ABC):
    """A folder whose subfolder `notes` keeps the lock and, until there is a manifest, the configuration."""

    def __init__(
        self, path: str | Path, configuration: Mapping[str, Any], *, notes: str, overwrite: bool = False
    ) -> None:
        self.path, self.configuration, self.overwrite = Path(path), dict(configuration), overwrite
        self.notes = self.path / notes
        self._lock = file_lock(self.notes / "lock", timeout=0)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of a finished result, else empty."""
        return read_json(self.path / "manifest.json") or {}

    def complete(self, manifest: Mapping[str, Any]) -> bool:
        """Whether the manifest is that of a result with this configuration."""
        return bool(manifest) and self._is_mine(manifest.get("configuration") or {})

    def holds_other(self, what: str, advice: str) -> bool:
        """Whether the folder holds another configuration; without `overwrite` InputError, which says `what` is there
        and what to do."""
        held = held_configuration(self.path, self.manifest, self.notes / "configuration.json")
        if held is None or self._is_mine(held):
            return False
        if not self.overwrite:
            raise InputError(f"{self.path} holds {what} ({differences(held, self.configuration)}): {advice}")
        return True

    def write_configuration(self) -> None:
        """Note what unfinished work in this folder belongs to."""
        with atomic_open(self.notes / "configuration.json") as stream:
            json.dump(self.configuration, stream, indent=1)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest with the configuration, which makes the result complete."""
        with atomic_open(self.path / "manifest.json") as stream:
            json.dump({**manifest, "configuration": self.configuration}, stream, indent=1)
            stream.write("\n")

    def _acquire(self) -> None:
        """Take the lock and `_claim` the folder; the lock is given back where that fails."""
        acquire_lock(self.path, self._lock)
        try:
            self._claim()
        except BaseException:
            try:
                self._withdraw()
            finally:
                self._lock.release()
            raise

    def _withdraw(self) -> None:  # noqa: B027 (by default nothing)
        """Remove what this process made in a folder that it could not claim."""

    @abstractmethod
    def _claim(self) -> None:
        """Look at what the folder holds, and note this configuration; InputError where it cannot be used."""

    def _is_mine(self, configuration: Mapping[str, Any]) -> bool:
        return fingerprint(configuration) == fingerprint(self.configuration)


@contextmanager
def disk_errors(path: Path, advice: str = "") -> Iterator[None]:
    """OutputError in place of the block's OSError: what cannot be written, why, and `advice`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}{advice}") from error
