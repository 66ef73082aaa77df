"""GPUs that serve a language model, as a discrete-event model behind the Engine seam; no measurement.

A step of a GPU takes `cost.STEP`, the arithmetic of the prompt tokens in it, and, where it decodes, one pass over
the weights and the keys and values of every window that decodes, or the arithmetic of their tokens where that takes
longer. It takes in at most `STEP_TOKENS` tokens, a token each for the windows that decode and the rest for prompts.
Shares of peak speed are those of `models/cost.py`. A window is admitted when a slot is free and its prompt and answer
fit into memory with the others, so nothing is ever preempted. There is no prefix cache of its own: whoever asks says
how much of a prompt costs no arithmetic because the cache has it; its keys and values take memory and are read.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from types import TracebackType
from typing import Any, Self

from reasonrank_pyserini.engines.priority import ENGINE_PRIORITY
from reasonrank_pyserini.models.cost import (
    ARITHMETIC,
    BANDWIDTH,
    MAX_BATCH,
    MEMORY,
    STEP,
    WINDOW_NEW_TOKENS,
    Gpu,
)
from reasonrank_pyserini.models.profiles import Profile
from reasonrank_pyserini.types import Completion, Limits, Prompt, Sampling

STEP_TOKENS = 8192
"""Tokens that a step takes in, as vLLM's max_num_batched_tokens."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What a GPU of that class does with that model, in seconds and tokens."""

    per_prompt_token: float
    per_pass: float
    per_cached_token: float
    room: float

    @classmethod
    def of(cls, profile: Profile, gpu: Gpu) -> Speed:
        size = profile.size
        assert size.parameters is not None
        assert size.weights_bytes is not None
        assert size.kv_bytes_per_token is not None
        bandwidth = BANDWIDTH * gpu.bandwidth
        return cls(
            2 * size.parameters / (ARITHMETIC * gpu.flops),
            size.weights_bytes / bandwidth,
            size.kv_bytes_per_token / bandwidth,
            (MEMORY * gpu.memory - size.weights_bytes) / size.kv_bytes_per_token,
        )

    def prefill(self, tokens: float) -> float:
        return tokens * self.per_prompt_token

    def decode(self, steps: int, windows: int, cached: int) -> float:
        """Seconds for `steps` steps of `windows` windows that hold `cached` tokens together at first."""
        first = min(steps, self._arithmetic_steps(windows, cached))
        rest, cached = steps - first, cached + first * windows
        read = rest * cached + windows * rest * (rest - 1) / 2
        bound = rest * self.per_pass + read * self.per_cached_token
        return steps * STEP + first * windows * self.per_prompt_token + bound

    def steps_by(self, seconds: float, windows: int, cached: int) -> int:
        """How many steps of those windows are over or under way after that time, at least 1."""
        first = self._arithmetic_steps(windows, cached)
        each = STEP + windows * self.per_prompt_token
        if seconds <= first * each:
            return max(1, math.ceil(seconds / each - 1e-9))
        seconds, cached = seconds - first * each, cached + first * windows
        growth = windows * self.per_cached_token
        linear = STEP + self.per_pass + cached * self.per_cached_token - growth / 2
        exact = (math.sqrt(linear * linear + 2 * growth * seconds) - linear) / growth
        return first + max(1, math.ceil(exact - 1e-9))

    def _arithmetic_steps(self, windows: int, cached: int) -> int:
        """The first steps, whose arithmetic takes longer than reading the weights, keys and values."""
        tokens = (windows * self.per_prompt_token - self.per_pass) / self.per_cached_token
        return max(0, math.ceil((tokens - cached) / windows))


@dataclass(slots=True, order=True)
class Window:
    """One request; it ends when the GPU has made `end` decoding steps in all."""

    place: int
    number: int
    prompt: int = field(compare=False)
    new: int = field(compare=False)
    done: asyncio.Future[None] = field(compare=False)
    read: int = field(default=0, compare=False)

    @property
    def need(self) -> int:
        return self.prompt + self.new


class SimulatedGpu:
    """One GPU: takes windows in, by place or, with `ordered=False`, first come first served."""

    def __init__(self, speed: Speed, *, ordered: bool = True, slots: int = MAX_BATCH) -> None:
        self.speed, self.ordered, self.slots = speed, ordered, slots
        self.outstanding = 0
        self.waiting: list[Window] = []
        self.reading: list[Window] = []
        self.decoding: list[tuple[int, int, Window]] = []  # by the step at which they end
        self.steps = self.cached = self.need = 0
        self._numbers = itertools.count()
        self._arrival = asyncio.Event()

    async def serve(self, prompt: int, new: int, known: int = 0) -> None:
        """Returns when a window of `prompt` and `new` tokens is answered, the first `known` from a prefix cache."""
        number = next(self._numbers)
        place = ENGINE_PRIORITY.get() if self.ordered else 0
        window = Window(place, number, prompt, new, asyncio.get_running_loop().create_future(), known)
        self.outstanding += prompt + WINDOW_NEW_TOKENS  # the length of the answer is not known yet
        heappush(self.waiting, window)
        self._arrival.set()
        try:
            await window.done
        finally:
            self.outstanding -= prompt + WINDOW_NEW_TOKENS

    async def run(self) -> None:
        """The GPU's life: one step after the other, steps that only decode taken together up to the next change."""
        while True:
            self._arrival.clear()
            self._admit()
            if self.reading:
                await self._mixed_step()
            elif self.decoding:
                await self._decode()
            else:
                await self._arrival.wait()

    @property
    def _at_once(self) -> int:
        return len(self.reading) + len(self.decoding)

    def _admit(self) -> None:
        room = STEP_TOKENS - len(self.decoding) - sum(window.prompt - window.read for window in self.reading)
        while self.waiting and room > 0 and self._has_room:
            window = heappop(self.waiting)
            if window.done.done():
                continue
            self.reading.append(window)
            self.need += window.need
            room -= window.prompt - window.read

    @property
    def _has_room(self) -> bool:
        fits = not self._at_once or self.need + self.waiting[0].need <= self.speed.room
        return fits and self._at_once < self.slots

    async def _mixed_step(self) -> None:
        room = STEP_TOKENS - len(self.decoding)
        tokens, whole = 0, []
        for window in self.reading:
            part = min(window.prompt - window.read, room - tokens)
            window.read += part
            tokens += part
            if window.read == window.prompt:
                whole.append(window)
        decoding = len(self.decoding)
        seconds = self.speed.decode(1, decoding, self.cached) if decoding else STEP
        await asyncio.sleep(self.speed.prefill(tokens) + seconds)
        self._advance(1)
        for window in whole:  # reading a prompt gives the first token of its answer
            self.reading.remove(window)
            self.cached += window.prompt + 1
            heappush(self.decoding, (self.steps + window.new - 1, window.number, window))
        self._finish()

    async def _decode(self) -> None:
        """Decodes until a window ends, or until the step in which another one arrives that has room."""
        steps = self.decoding[0][0] - self.steps
        begin = asyncio.get_running_loop().time()
        seconds = self.speed.decode(steps, len(self.decoding), self.cached)
        if self._at_once < self.slots and not self.waiting:
            try:
                await asyncio.wait_for(self._arrival.wait(), seconds)
            except TimeoutError:
                pass
            else:
                now = asyncio.get_running_loop().time()
                steps = min(steps, self.speed.steps_by(now - begin, len(self.decoding), self.cached))
                seconds = self.speed.decode(steps, len(self.decoding), self.cached)
                await asyncio.sleep(begin + seconds - now)
        else:
            await asyncio.sleep(seconds)
        self._advance(steps)
        self._finish()

    def _advance(self, steps: int) -> None:
        self.steps += steps
        self.cached += steps * len(self.decoding)

    def _finish(self) -> None:
        while self.decoding and self.decoding[0][0] <= self.steps:
            window = heappop(self.decoding)[2]
            self.cached -= window.need
            self.need -= window.need
            if not window.done.done():
                window.done.set_result(None)


class SimulatedGpus:
    """An Engine: GPUs behind a balancer that gives each window to the one with the fewest outstanding tokens.

    A prompt's `text` is its length and that of its answer, as `5687 750`, and where there are any the tokens that a
    prefix cache has, as `5687 750 240`. `requests` are in flight at once, a GPU.
    """

    def __init__(self, speed: Speed, count: int, requests: int, *, ordered: bool = True) -> None:
        self.gpus = [SimulatedGpu(speed, ordered=ordered) for _ in range(count)]
        self.limits = Limits(requests * count)
        self.identity: Mapping[str, Any] = {"engine": "simulated"}
        self._running: list[asyncio.Task[None]] = []

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        length, new, *known = map(int, prompt.text.split())
        begin = asyncio.get_running_loop().time()
        await min(self.gpus, key=lambda gpu: gpu.outstanding).serve(length, new, *known)
        return Completion("", length, new, seconds=asyncio.get_running_loop().time() - begin)

    async def __aenter__(self) -> Self:
        self._running = [asyncio.ensure_future(gpu.run()) for gpu in self.gpus]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
