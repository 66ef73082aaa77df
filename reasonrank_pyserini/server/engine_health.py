"""Whether the engine works: what the last request showed, and after a failure a small trial."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from ..errors import EngineDiedError
from ..reranker import Reranker
from ..types import Ranking
from .rerank_reply import window_counts

log = logging.getLogger(__name__)

TRIAL_PAUSE = 10.0
"""Seconds between two trials, at least."""


class EngineHealth:
    """`ready` until a request fails because the engine has stopped, and again once a request or a trial succeeds.

    A trial reranks two short texts, without a deadline. After a failure it is needed because load balancers send no
    requests to a server that is not ready; after a deadline without any judged window it shows whether the engine is
    slow or gone.
    """

    def __init__(self, reranker: Reranker, clock: Callable[[], float] = time.monotonic) -> None:
        self._reranker, self._clock = reranker, clock
        self.ready, self._in_doubt = True, False
        self._tried = clock() - TRIAL_PAUSE
        self._trial: asyncio.Task[None] | None = None

    def answered(self, ranking: Ranking) -> None:
        """A request was answered: the engine works if it judged a window, rather than the journal."""
        windows = window_counts(ranking.steps)
        if windows["judged"] > windows["cached"]:
            self.ready, self._in_doubt = True, False
        elif ranking.cut_short and not windows["judged"]:
            self._in_doubt = True

    def failed(self, error: BaseException) -> None:
        """A request failed."""
        if isinstance(error, EngineDiedError):
            self.ready = False

    def asked(self) -> bool:
        """Whether the engine works. In doubt a trial starts, unless one is running or was started a moment ago."""
        due = self._trial is None and self._clock() - self._tried >= TRIAL_PAUSE
        if due and (self._in_doubt or not self.ready):
            self._tried = self._clock()
            self._trial = asyncio.ensure_future(self._try())
        return self.ready

    async def _try(self) -> None:
        query = f"trial {uuid.uuid4().hex}"  # a new one, which no journal can answer
        future: asyncio.Future[Any] = asyncio.wrap_future(
            self._reranker.submit(query, ["yes", "no"], caller=self)
        )
        try:
            self.answered(await future)
        except Exception as error:
            self.failed(error)
            log.info("reasonrank: a trial of the engine failed: %s", type(error).__name__)
        finally:
            self._trial = None
