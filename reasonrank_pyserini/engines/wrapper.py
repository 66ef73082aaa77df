"""EngineWrapper: an engine around another one."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from ..types import Completion, Limits, Prompt, Sampling
from . import Engine


class EngineWrapper:
    """Passes everything on to `engine`; subclasses override what they change."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def limits(self) -> Limits:
        return self.engine.limits

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.engine.identity

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self.engine.complete(prompt, sampling)

    async def __aenter__(self) -> Self:
        await self.engine.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.__aexit__(kind, error, trace)
