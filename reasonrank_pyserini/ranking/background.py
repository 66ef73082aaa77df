"""Work handed to an event loop in another thread: waiting for it, pulling from it, ending it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Generic, TypeVar

from ..errors import ClosedError

T = TypeVar("T")


def wait(future: concurrent.futures.Future[T]) -> T:
    """The future's result; when waiting is interrupted the work is cancelled."""
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise ClosedError("the reranking was cancelled") from None
    except BaseException:
        future.cancel()
        raise


class ThreadsafeStream(Generic[T]):
    """An async generator pulled from another thread; closing waits for a pull that was cancelled."""

    def __init__(self, results: AsyncGenerator[T, None]) -> None:
        self._results, self._turn = results, asyncio.Lock()

    async def next(self) -> T | None:
        async with self._turn:
            return await anext(self._results, None)

    async def close(self) -> None:
        async with self._turn:
            await self._results.aclose()


async def cancel_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until they have ended."""
    chosen = list(tasks)
    for task in chosen:
        task.cancel()
    await asyncio.gather(*chosen, return_exceptions=True)


async def cancel_all_tasks() -> None:
    """Cancel everything else in this loop."""
    await cancel_tasks(asyncio.all_tasks() - {asyncio.current_task()})
