"""ScriptedEngine: a fake engine for tests and for trying a pipeline without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from ..types import Completion, Limits, Prompt, Sampling

Script = Callable[[Prompt, Sampling], "str | Completion"]


class ScriptedEngine:
    """Answers each prompt with `script(prompt, sampling)`; exceptions of the script are raised by `complete`.

    `calls` counts calls, `in_flight` and `most_in_flight` the concurrent ones; `delay` is seconds per call. A
    string becomes a Completion with finish reason `stop`.
    """

    def __init__(
        self,
        script: Script,
        *,
        requests: int = 64,
        delay: float = 0.0,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.script, self.delay = script, delay
        self.limits = Limits(requests=requests)
        self.identity = dict(identity or {"engine": "scripted"})
        self.calls = self.in_flight = self.most_in_flight = 0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
            answer = self.script(prompt, sampling)
        finally:
            self.in_flight -= 1
        if isinstance(answer, Completion):
            return answer
        return Completion(
            answer, prompt_tokens=len(prompt.token_ids or ()), completion_tokens=len(answer.split())
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
