"""Engines that use a journal: one records completions, one only replays them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from array import array
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from ...errors import ReplayMissError
from ...prompts.forcing import may_be_continued
from ...types import Completion, Limits, Prompt, Sampling
from .. import Engine
from ..wrapper import EngineWrapper
from .journal_messages import damaged_records
from .store import Journal


def completion_key(identity: Mapping[str, Any], prompt: Prompt, sampling: Sampling, sample: int = 0) -> str:
    """sha256, hex, of all that a completion depends on: engine and weights, sampling, prompt, sample number."""
    drawn = asdict(sampling)
    for name in ("permutation", "stop", "logprobs", "allowed_ids"):
        if not drawn[name]:
            del drawn[name]  # keys from before this field existed stay valid
    head = {"engine": dict(identity), "sampling": drawn, "sample": sample}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(json.dumps([dict(message) for message in prompt.messages], sort_keys=True).encode())
    if prompt.token_ids is not None:
        digest.update(array("I", prompt.token_ids).tobytes())
    elif not prompt.messages:
        digest.update(prompt.text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class Recorded(EngineWrapper):
    """An engine that looks in `journal` first and records every new completion before it returns it.

    Lookups run in a worker thread, recording in the event loop: it takes about 30 microseconds for an answer of
    750 tokens, a third of a round trip to a thread (`python eval/bench/journal.py`). Token ids, which are larger
    than the text, are kept only where the answer may be continued from them.
    """

    def __init__(self, engine: Engine, journal: Journal, *, sample: int = 0) -> None:
        super().__init__(engine)
        self.journal, self.sample = journal, sample

    def _look_up(self, prompt: Prompt, sampling: Sampling) -> tuple[str, Completion | None]:
        key = completion_key(self.identity, prompt, sampling, self.sample)
        return key, self.journal.get(key)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        key, found = await asyncio.to_thread(self._look_up, prompt, sampling)
        if found is not None:
            return found
        completion = await self.engine.complete(prompt, sampling)
        if not may_be_continued(completion):
            completion = replace(completion, token_ids=None)
        self.journal.put(
            key, completion
        )  # no await since the completion: cancelling this task cannot lose it
        return completion

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self.journal.close()


class Replay:
    """An engine that only reads a journal; ReplayMissError for a completion not recorded under `identity`."""

    def __init__(self, journal: Journal, identity: Mapping[str, Any], *, sample: int = 0) -> None:
        self.journal, self.identity, self.sample = journal, identity, sample
        self.limits = Limits(requests=64)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        key = completion_key(self.identity, prompt, sampling, self.sample)
        found = self.journal.get(key)
        if found is None:
            raise ReplayMissError(
                f"journal {self.journal.folder} has no completion {key[:12]}: run it without replay"
            )
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()


def recorder(engine: Engine | None) -> Journal | None:
    """The journal that an engine records in or replays; None for an engine without one."""
    return engine.journal if isinstance(engine, Recorded | Replay) else None


def damage_line(engine: Engine | None) -> str | None:
    """A line for the user about damaged records in an engine's journal; None when all are whole."""
    journal = recorder(engine)
    if journal is None or not journal.damaged:
        return None
    return damaged_records(journal.damaged, journal.folder)
