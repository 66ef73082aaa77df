"""An engine that answers at once, last passage first: what is left of the time is the library's and the server's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling


class Instant:
    limits = Limits(requests=64)
    identity: Mapping[str, Any] = {"engine": "instant"}

    @classmethod
    def from_config(cls, config: EngineConfig) -> Instant:
        return cls()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        numbers = re.findall(r"^\[(\d+)\] ", prompt.text or prompt.messages[-1]["content"], re.MULTILINE)
        order = " > ".join(f"[{number}]" for number in reversed(numbers))
        return Completion(f"<think> so </think> <answer> {order} </answer>", 1, 1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
