"""What the process with the reranker and the one that is connected to Ray say to each other, over pipes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...errors import EngineError, InputError, ReasonRankError
from .vllm_command import ServeCommand


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """The first message: the cluster, and the servers to run there, each with `gpus` GPUs."""

    address: str
    gpus: int
    command: ServeCommand
    key: str = field(repr=False)
    model: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a server; `life` is a number of its own, `log` is used where that folder exists."""

    life: int
    log: Path | None


@dataclass(frozen=True, slots=True)
class End:
    """End a server."""

    life: int


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in the cluster, to the server `life`.

    `joined`: `room` servers fit into the nodes of now; `failed`: the cluster cannot be used, `text` says why;
    `placed`: on the node `text`; `ready`: at the address `text`; `refused`: it ended before it was ready, with an error
    of the class `error`; `ended`: it ended, `text` says why; `lost`: so did its node, or Ray's process there.
    """

    about: Literal["joined", "failed", "placed", "ready", "refused", "ended", "lost"]
    life: int = 0
    text: str = ""
    error: str = ""
    room: int = 0

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, line: bytes) -> Report:
        fields: dict[str, Any] = json.loads(line)
        return cls(**fields)

    def exception(self) -> ReasonRankError:
        """The error that a report of a failure stands for."""
        return InputError(self.text) if self.error == InputError.__name__ else EngineError(self.text)
