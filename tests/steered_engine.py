"""An engine without a model for `--engine steered_engine:Steered`: a query's words say how it behaves.

It puts the last passage first, and takes `REQUESTS` calls at a time. `hang` in the query: no answer; `break`: the call
fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.errors import EngineError
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling

REQUESTS = 2
SECRET = "/etc/secret-of-the-engine"
"""A text of the failure that no caller may see."""


class Steered:
    limits = Limits(requests=REQUESTS)
    identity: Mapping[str, Any] = {"engine": "steered"}

    @classmethod
    def from_config(cls, config: EngineConfig) -> Steered:
        return cls()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        text = prompt.text or prompt.messages[-1]["content"]
        query = text.rpartition("Search Query: ")[2].partition("\n")[0]
        if "hang" in query:
            await asyncio.Event().wait()
        if "break" in query:
            raise EngineError(f"KeyError in {SECRET}")
        numbers = re.findall(r"^\[(\d+)\] ", text, re.MULTILINE)
        order = " > ".join(f"[{number}]" for number in reversed(numbers))
        return Completion(f"<think> last first </think> <answer> {order} </answer>", 7, len(numbers))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
