"""The transformers engine's thread: adds queued requests to the running batch and steps it."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...errors import EngineDiedError, EngineError, one_line
from ...types import Completion, Sampling
from ..cached_decoding import device_lost, draw, greedy, out_of_memory, restricted, top_logprobs

GREEDY_BELOW = 1e-5
"""Temperatures below this take the most likely token."""
STOP_TOKENS = 32
"""Tokens at the end of a text in which a stop text is looked for after every step."""


class Decodes(Protocol):
    """What the thread needs of a decoder (see `decoding.Decoder`)."""

    def prefill(self, ids: Sequence[int]) -> tuple[Any, Any]: ...

    def replace(self, keep: Sequence[int], new: Sequence[Any]) -> None: ...

    def step(self, tokens: Sequence[int]) -> Any: ...

    def clear(self) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """One request, waiting (lowest `place` first) or a row of the batch; its seed is fixed, so that a retry gives the
    same tokens."""

    ids: tuple[int, ...]
    sampling: Sampling
    seed: int
    place: int = 0
    submitted: float = field(default_factory=time.perf_counter)
    future: Future[Completion] = field(default_factory=Future)
    tokens: list[int] = field(default_factory=list)
    generator: Any = None
    last: Any = None

    @property
    def need(self) -> int:
        return len(self.ids) + self.sampling.max_tokens

    @property
    def greedy(self) -> bool:
        return self.sampling.temperature < GREEDY_BELOW

    def start(self) -> None:
        import torch

        self.tokens = []
        self.generator = torch.Generator().manual_seed(self.seed)


class BatchThread:
    """Decodes requests on its own thread, at most `rows` at once with `tokens` of padded cache in total.

    `stop_ids` end a row; `decode` turns token ids into text. A failing request does not affect the others; when
    memory runs out the batch is halved and its requests start again.
    """

    def __init__(
        self,
        decoder: Decodes,
        decode: Callable[[list[int]], str],
        stop_ids: Collection[int],
        *,
        rows: int,
        tokens: int | None,
    ) -> None:
        self._decoder, self._decode, self._stop_ids = decoder, decode, frozenset(stop_ids)
        self._rows, self._tokens = rows, tokens
        self._queue: deque[Job] = deque()
        self._active: list[Job] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._dead: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="transformers-engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a request; its future ends with a Completion or an EngineError."""
        with self._changed:
            if self._dead is not None or self._stopping:
                raise EngineDiedError(f"the transformers engine has stopped{_because(self._dead)}")
            insort(self._queue, job, key=lambda queued: queued.place)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after its current step; unfinished requests are cancelled."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._wait():
                self._cycle()
        except BaseException as error:  # passed on to all waiting requests
            self._dead = error
        with self._changed:
            self._stopping = True
            waiting = [*self._active, *self._queue]
            self._queue.clear()
        self._active = []
        for job in waiting:
            if self._dead is None:
                job.future.cancel()
            else:
                _fail(job, EngineDiedError(f"the transformers engine died{_because(self._dead)}"))
        if self._dead is None:
            self._decoder.clear()

    def _wait(self) -> bool:
        with self._changed:
            while not (self._queue or self._active or self._stopping):
                self._changed.wait()
            return not self._stopping

    def _cycle(self) -> None:
        """Remove cancelled and finished rows, add queued requests, and step the batch."""
        keep = [row for row, job in enumerate(self._active) if not self._leaves(job)]
        changed = len(keep) < len(self._active)
        self._active = [self._active[row] for row in keep]
        states = self._admit()
        try:
            if changed or states:
                self._decoder.replace(keep, states)
            states.clear()
            if self._active:
                self._advance(self._active, self._decoder.step([job.tokens[-1] for job in self._active]))
        except Exception as error:
            self._recover(error)

    def _admit(self) -> list[Any]:
        """Prefill the queued requests that fit into the batch; their states, in row order."""
        states: list[Any] = []
        while (job := self._next()) is not None:
            try:
                job.start()
                logits, state = self._decoder.prefill(job.ids)
                self._advance([job], logits[None])
            except Exception as error:
                if not (out_of_memory(error) and self._active):
                    self._give_up([job], error)
                    continue
                with self._changed:
                    self._queue.appendleft(job)
                self._rows = len(self._active)
                break
            if not self._leaves(job):
                self._active.append(job)
                states.append(state)
        return states

    def _next(self) -> Job | None:
        with self._changed:
            while self._queue and self._queue[0].future.done():
                self._queue.popleft()
            if self._stopping or not self._queue or len(self._active) >= self._rows:
                return None
            need = max(job.need for job in [*self._active, self._queue[0]])
            if self._active and self._tokens is not None and need * (len(self._active) + 1) > self._tokens:
                return None
            return self._queue.popleft()

    def _advance(self, jobs: Sequence[Job], logits: Any) -> None:
        possible = restricted(logits, [job.sampling.allowed_ids for job in jobs])
        best = greedy(possible) if any(job.greedy for job in jobs) else []
        for row, job in enumerate(jobs):
            token = best[row] if job.greedy else draw(possible[row], job.sampling, job.generator)
            job.last = logits[row] if job.sampling.logprobs else None
            if token < 0:
                _fail(job, EngineError("the model returned NaN: try `engine_args` dtype=bfloat16 or float32"))
            job.tokens.append(token)

    def _leaves(self, job: Job) -> bool:
        """Whether a row has ended; a row that ended by itself gets its Completion here."""
        if job.future.done():
            return True
        stopped = job.tokens[-1] in self._stop_ids
        try:
            if not stopped and not self._says_stop(job) and len(job.tokens) < job.sampling.max_tokens:
                return False
            completion = self._completion(job, stopped)
        except Exception as error:
            self._give_up([job], error)
            return True
        if job.future.set_running_or_notify_cancel():
            job.future.set_result(completion)
        return True

    def _says_stop(self, job: Job) -> bool:
        stop = job.sampling.stop
        return bool(stop) and _cut_at(self._decode(job.tokens[-STOP_TOKENS:]), stop) is not None

    def _completion(self, job: Job, stopped: bool) -> Completion:
        written, sampling = (job.tokens[:-1] if stopped else job.tokens), job.sampling
        text = self._decode(written)
        cut = _cut_at(text, sampling.stop)
        return Completion(
            text if cut is None else text[:cut],
            prompt_tokens=len(job.ids),
            completion_tokens=len(job.tokens),
            finish_reason="stop" if stopped or cut is not None else "length",
            seconds=time.perf_counter() - job.submitted,
            token_ids=tuple(written) if cut is None else None,
            logprobs=top_logprobs(job.last, sampling) if job.last is not None else None,
        )

    def _recover(self, error: Exception) -> None:
        """After a failed step: out of memory restarts all rows with half the batch size, other errors fail them."""
        jobs, self._active = self._active, []
        self._decoder.clear()
        if out_of_memory(error) and len(jobs) > 1:
            self._rows = len(jobs) // 2
            with self._changed:
                self._queue.extendleft(reversed(jobs))
            return
        self._give_up(jobs, error)

    def _give_up(self, jobs: Sequence[Job], error: Exception) -> None:
        if device_lost(error):
            self._active = [*self._active, *(job for job in jobs if job not in self._active)]
            raise error
        for job in jobs:
            if out_of_memory(error):
                hint = "lower `reasoning_tokens` or `window`, or use a smaller dtype or model"
                problem = f"out of memory with one request of {len(job.ids)} prompt tokens: {hint}"
            else:
                problem = f"the model failed on a request of {len(job.ids)} tokens{_because(error)}"
            failure = EngineError(problem)
            failure.__cause__ = error
            _fail(job, failure)


def _cut_at(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins; None where there is none."""
    return min((at for at in map(text.find, stop) if at >= 0), default=None)


def _fail(job: Job, error: EngineError) -> None:
    if not job.future.done() and job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)


def _because(error: BaseException | None) -> str:
    return "" if error is None else f": {type(error).__name__}: {one_line(error)}"
