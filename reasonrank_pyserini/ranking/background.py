"""An event loop in a background thread: work is submitted, waited for and pulled from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
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


class BackgroundLoop:
    """The event loop of a Reranker in a thread of its own; `running` are the tasks of the work under way.

    `submit` raises ClosedError once it is closed, in a forked process, and in the loop's own thread.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="reasonrank", daemon=True)
        self.running: set[asyncio.Task[Any]] = set()
        self._streams: set[_Stream[Any]] = set()
        self._closed, self._closing, self._process = False, threading.Lock(), os.getpid()
        self.thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start the work in the loop; cancelling the future cancels it."""
        try:
            with self._closing:
                self._check_open()
                return asyncio.run_coroutine_threadsafe(self._tracked(work), self.loop)
        except ClosedError:
            work.close()
            raise

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result."""
        return wait(self.submit(work))

    def pull(self, results: AsyncGenerator[T, None]) -> Generator[T]:
        """What an async generator yields, which advances only when the next one is asked for."""
        stream = _Stream(results)
        self._streams.add(stream)
        try:
            while (found := self.call(stream.next())) is not None:
                yield found
        finally:
            self._streams.discard(stream)
            if not self._closed and self._process == os.getpid():
                self.call(stream.close())

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cancel what is under way, await `last` in the loop, end the thread; a second call does nothing."""
        if threading.current_thread() is self.thread:
            raise ClosedError("a Reranker cannot be closed from an observer")
        if self._process != os.getpid():  # the thread is the parent's
            return
        with self._closing:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._wind_up(last), self.loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(_cancel_others(), self.loop).result()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    def _check_open(self) -> None:
        if self._process != os.getpid():
            raise ClosedError(
                "this Reranker was made before the process was forked, and its thread did not come along: make it "
                "after the fork, in each worker"
            )
        if self._closed:
            raise ClosedError("this Reranker is closed: make a new one, or keep work inside its `with` block")
        if threading.current_thread() is self.thread:
            raise ClosedError("a Reranker cannot wait for itself: do not call it from an observer")

    async def _tracked(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            return await work
        finally:
            self.running.discard(task)

    async def _wind_up(self, last: Callable[[], Awaitable[None]] | None) -> None:
        await _cancel(self.running)
        for stream in list(self._streams):
            await stream.close()
        if last is not None:
            await last()


class _Stream(Generic[T]):
    """An async generator pulled from another thread; closing waits for a pull that was cancelled."""

    def __init__(self, results: AsyncGenerator[T, None]) -> None:
        self._results, self._turn = results, asyncio.Lock()

    async def next(self) -> T | None:
        async with self._turn:
            return await anext(self._results, None)

    async def close(self) -> None:
        async with self._turn:
            await self._results.aclose()


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until they have ended."""
    chosen = list(tasks)
    for task in chosen:
        task.cancel()
    await asyncio.gather(*chosen, return_exceptions=True)


async def _cancel_others() -> None:
    """Cancel everything else in this loop."""
    await _cancel(asyncio.all_tasks() - {asyncio.current_task()})
