"""An engine of one's own, in a page: a rule-based stand-in for a reasoning model.

It knows five concepts (knowledge.json), guesses from the query's clues which one is asked for, and ranks
passages by whether they name it, in ReasonRank's answer format. It shows the machinery and the Engine seam;
it says nothing about how well a language model ranks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling

KNOWLEDGE = json.loads((Path(__file__).parent / "knowledge.json").read_text())


class StandIn:
    limits = Limits(requests=8)
    identity: Mapping[str, Any] = {"engine": "stand-in", "knowledge": KNOWLEDGE}

    @classmethod
    def from_config(cls, config: EngineConfig) -> StandIn:
        return cls()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        text = prompt.messages[-1]["content"]
        passages = re.findall(r"^\[(\d+)\] (.*)$", text, re.MULTILINE)
        query = text.rpartition("Search Query: ")[2]
        concept = max(KNOWLEDGE, key=lambda name: hits(KNOWLEDGE[name]["clues"], query))
        named = {number: hits(KNOWLEDGE[concept]["names"], passage) for number, passage in passages}
        order = sorted(named, key=lambda number: -named[number])
        best = ", ".join(f"[{number}]" for number in order if named[number]) or "none"
        thought = f"The query describes {concept} without naming it. Passages that name it: {best}."
        answer = " > ".join(f"[{number}]" for number in order)
        return Completion(
            f"<think> {thought} </think> <answer> {answer} </answer>", completion_tokens=len(order)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def hits(words: list[str], text: str) -> int:
    return sum(word in text.lower() for word in words)
