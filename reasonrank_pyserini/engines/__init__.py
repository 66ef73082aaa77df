"""The Engine seam: one method that completes a prompt. Adapters are reached by name through `load_engine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

from ..files.hub import SHIPPED, local_folder
from ..lazy import resolve
from ..types import Completion, Limits, Prompt, Sampling

ENGINES = {
    "vllm": "reasonrank_pyserini.engines.vllm.vllm_engine:VLLMEngine",
    "transformers": "reasonrank_pyserini.engines.transformers.transformers_engine:TransformersEngine",
    "openai": "reasonrank_pyserini.engines.openai.http_engine:OpenAIEngine",
}


@runtime_checkable
class Engine(Protocol):
    """Completes prompts, many at once. Used inside one event loop, between `__aenter__` and `__aexit__`.

    `complete` raises EngineError for a call that failed for good and EngineDiedError when no further
    call can succeed; an error is never returned as text. Cancelling `complete` stops the generation.
    `identity` is what the output depends on besides prompt and sampling (engine name, model, revision or
    weights' hash, dtype, adapter, tokenizer): JSON values, part of every journal key.
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
    """What an engine is made from; each adapter reads what it needs and refuses what it cannot honour.

    `max_model_len`: prompt plus answer, the real need (None: the model's own). `args`: the user's
    KEY=VALUE engine arguments, values already parsed as JSON where possible.
    """

    model: str
    revision: str | None = None
    tokenizer: str | None = None
    max_model_len: int | None = None
    base_urls: tuple[str, ...] = ()
    api: Literal["completions", "chat"] = "completions"
    args: Mapping[str, Any] = field(default_factory=dict)


def result_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a result depends on: all but those that the engine lists in `OPERATIONAL`."""
    operational: frozenset[str] = getattr(resolve("engine", name, ENGINES), "OPERATIONAL", frozenset())
    return {key: value for key, value in arguments.items() if key not in operational}


def unwrap_engine(engine: Engine) -> Any:
    """The engine inside the wrappers (gate, journal)."""
    inner: Any = engine
    while (deeper := getattr(inner, "engine", None)) is not None:
        inner = deeper
    return inner


def engine_details(engine: Engine) -> dict[str, Any]:
    """What an engine can tell for a manifest: its identity, and `details` where it has any."""
    inner = unwrap_engine(engine)
    return {**dict(inner.identity), **dict(getattr(inner, "details", {}))}


@runtime_checkable
class StatesContext(Protocol):
    """An engine that runs elsewhere and can tell how many tokens prompt and answer may have together."""

    async def served_context(self) -> int | None: ...


def default_engine(model: str) -> str:
    """The engine for a model when none is named: vllm; transformers for the toy that comes with the package."""
    return "transformers" if local_folder(model) in SHIPPED.values() else "vllm"


def load_engine(name: str, config: EngineConfig) -> Engine:
    """The engine of that name (or `module:attribute`), built but not started; UnknownNameError otherwise."""
    engine: Engine = resolve("engine", name, ENGINES).from_config(config)
    return engine
