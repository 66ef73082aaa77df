"""The Engine seam: one method that completes a prompt. Engines are loaded by name with `load_engine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

from ..errors import InputError
from ..files.hub import SHIPPED, local_folder
from ..lazy import resolve
from ..types import Completion, Limits, Prompt, Sampling

ENGINES = {
    "vllm": "reasonrank_pyserini.engines.vllm.vllm_engine:VLLMEngine",
    "transformers": "reasonrank_pyserini.engines.transformers.transformers_engine:TransformersEngine",
    "openai": "reasonrank_pyserini.engines.openai.http_engine:OpenAIEngine",
}


OWNERS = {
    "base_urls": "openai",
    "servers": "openai",
    "replicas": "vllm",
    "ray": "vllm",
    "vllm_python": "vllm",
}
"""The engine that each of these settings is for."""


@runtime_checkable
class Engine(Protocol):
    """Completes prompts, many at once, in one event loop between `__aenter__` and `__aexit__`.

    `complete` raises EngineError for a call that failed permanently and EngineDiedError when no further call can
    succeed; an error is never returned as text. Cancelling `complete` stops the generation. `identity` is all that
    the output depends on besides prompt and sampling (engine name, model, revision or weights' hash, dtype, adapter,
    tokenizer), as JSON values; it is part of every journal key.
    """

    @property
    def limits(self) -> Limits: ...

    @property
    def identity(self) -> Mapping[str, Any]: ...

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The configuration of an engine; each engine rejects settings that it cannot apply.

    `max_model_len`: the context needed for prompt plus answer (None: the model's own). `servers`: a file that lists
    servers. `replicas`: servers of the model to start; None: one for the GPUs of a replica, as many as there are.
    `ray`: the address of the Ray cluster that has the GPUs (`auto`: the one that is running). `vllm_python`: the
    interpreter whose environment has vLLM; None: this one. `log_folder`: where servers that are started write their
    logs. `args`: the user's engine arguments, values already parsed as JSON where possible.
    """

    model: str
    revision: str | None = None
    tokenizer: str | None = None
    max_model_len: int | None = None
    base_urls: tuple[str, ...] = ()
    api: Literal["completions", "chat"] = "completions"
    servers: Path | None = None
    replicas: int | None = None
    ray: str | None = None
    vllm_python: str | None = None
    log_folder: Path | None = None
    args: Mapping[str, Any] = field(default_factory=dict)


def result_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a result depends on: all except those in the engine's `OPERATIONAL`."""
    operational: frozenset[str] = getattr(resolve("engine", name, ENGINES), "OPERATIONAL", frozenset())
    return {key: value for key, value in arguments.items() if key not in operational}


def unwrap_engine(engine: Engine) -> Any:
    """The engine inside the wrappers (gate, journal)."""
    inner: Any = engine
    while (deeper := getattr(inner, "engine", None)) is not None:
        inner = deeper
    return inner


def engine_details(engine: Engine) -> dict[str, Any]:
    """What a manifest records of an engine: its identity, and its `details` if it has any."""
    inner = unwrap_engine(engine)
    return {**dict(inner.identity), **dict(getattr(inner, "details", {}))}


def start_note(engine: Engine) -> str:
    """What the user should know while the engine starts, as one line; empty where it starts at once."""
    return str(getattr(unwrap_engine(engine), "start_note", ""))


@runtime_checkable
class StatesContext(Protocol):
    """An engine that runs elsewhere and can report its context: the tokens of prompt and answer together."""

    async def served_context(self) -> int | None: ...


def default_engine(model: str) -> str:
    """The engine for a model when none is given: vllm, but transformers for the shipped toy model."""
    return "transformers" if local_folder(model) in SHIPPED.values() else "vllm"


def engine_readiness(name: str) -> str:
    """What the engine would start here, or what it lacks, as one line; empty for an engine that does not say."""
    readiness = getattr(resolve("engine", name, ENGINES), "readiness", None)
    return str(readiness()) if readiness is not None else ""


def check_owners(name: str, settings: Any) -> None:
    """InputError for a setting of another engine; `settings` has the fields of EngineConfig or of ModelRequest."""
    for setting, owner in OWNERS.items():
        if getattr(settings, setting) not in (None, ()) and name in ENGINES and name != owner:
            raise InputError(f"`{setting}` belongs to engine {owner}, not {name}: use `engine` {owner}")


def load_engine(name: str, config: EngineConfig) -> Engine:
    """The engine of that name (or `module:attribute`), not yet started; UnknownNameError otherwise."""
    check_owners(name, config)
    engine: Engine = resolve("engine", name, ENGINES).from_config(config)
    return engine
