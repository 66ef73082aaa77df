"""A single thread that builds prompts, so that the event loop never waits for a tokenizer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class PromptThread:
    """Runs calls one at a time in a thread of its own; `close` ends the thread.

    One thread, because several that tokenize at once would hold the interpreter and delay the event loop. It starts
    with the first call. A cancelled call leaves the queue; one that has started runs to its end.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasonrank-prompts")

    async def run(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What `call` returns; its exception is raised here."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(call, *args, **options))

    def close(self) -> None:
        """End the thread after the current call; further calls raise RuntimeError. May be called twice."""
        self._executor.shutdown(cancel_futures=True)
