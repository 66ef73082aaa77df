"""ReproduceRequest: a condition to run again and what should differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, UnknownNameError
from ..jobs.run_source import RunSource
from ..ranking.model_request import SettingOverrides
from ..ranking.scheduler import OnError
from .leaderboard import Leaderboard

DEFAULT_CONDITION = "reasonrank-7b"
QRELS_KINDS = ("plain", "fixed")

Runs = str | Path | Mapping[str, RunSource]
"""First-stage runs: a folder with a run file per task, or runs by task, each a run file or hits by query id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverrides:
    """A model and how to reach it, in place of the condition's; the fields mean what they mean in ModelRequest."""

    model: str | None = None
    revision: str | None = None
    tokenizer: str | None = None
    profile: str | Path | None = None
    engine: str | None = None
    base_urls: tuple[str, ...] = ()
    servers: Path | None = None
    replicas: int | None = None
    ray: str | None = None
    vllm_python: str | None = None
    api: str = "completions"
    engine_args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReproduceRequest:
    """A published condition to run again, and what should differ from it.

    `tasks`: none means all. `first_stage`: one of `FIRST_STAGES`; None is the condition's own, and `runs` replaces
    it. `oracle`: the judgements order the windows instead of a model, with that much noise (a standard deviation)
    on the grades. `repeat`: runs with seeds counting up. `limit`: the first queries of each task. `max_failed`: the
    share of unreadable answers at which the run stops, after 50 windows. `command`: recorded in the manifests.
    """

    benchmark: str
    condition: str = DEFAULT_CONDITION
    _: KW_ONLY
    tasks: tuple[str, ...] = ()
    first_stage: str | None = None
    runs: Runs | None = None
    model: ModelOverrides = field(default_factory=ModelOverrides)
    oracle: float | None = None
    qrels_kind: str | None = None
    settings: SettingOverrides = field(default_factory=SettingOverrides)
    repeat: int = 1
    limit: int | None = None
    on_error: OnError = "raise"
    max_failed: float = 0.5
    overwrite: bool = False
    output: str | Path | None = None
    command: tuple[str, ...] = ()

    def check(self) -> None:
        """InputError for values that no reproduction can have."""
        for name, value in (("repeat", self.repeat), ("limit", self.limit)):
            if value is not None and value < 1:
                raise InputError(f"`{name}` is {value}: it must be at least 1")
        if not 0 <= self.max_failed <= 1:
            raise InputError(f"`max_failed` is {self.max_failed}: it must be between 0 and 1")
        if self.oracle is not None and not 0 <= self.oracle < 1e6:
            raise InputError(f"`oracle` is {self.oracle}: the noise is a standard deviation, such as 0.5")
        if self.qrels_kind not in (None, *QRELS_KINDS):
            raise UnknownNameError("kind of judgements", str(self.qrels_kind), QRELS_KINDS)
        if self.on_error not in ("raise", "keep"):
            raise UnknownNameError("`on_error`", self.on_error, ("raise", "keep"))


@dataclass(frozen=True, slots=True)
class ReproduceResult:
    """What a reproduction left in `folder`.

    `errors`: failed windows that kept their order. `queries`: over all tasks. `unreadable`: no answer at all could be
    read, which only `max_failed` 1 accepts.
    """

    leaderboard: Leaderboard
    errors: int
    queries: int
    folder: Path
    unreadable: bool = False

    @property
    def within_tolerance(self) -> bool | None:
        """Whether the published numbers were reached; None where that cannot be judged."""
        return self.leaderboard.within_tolerance
