"""One rerank request, from its bytes to the reply."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ReasonRankError, one_line
from ..reranker import Reranker
from ..types import Candidate, Ranking
from .admission import Admission
from .callers import caller_of
from .engine_health import EngineHealth
from .json_body import Receive, read_object
from .refusal import ClientGoneError, Refusal, error_body, refusal_of
from .rerank_call import RerankCall, Shape, read_call, read_seconds, shape_of
from .rerank_reply import reply
from .server_metrics import ServerMetrics
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

DEADLINE_HEADER = "X-Reasonrank-Deadline"
CUT_SHORT_HEADER = "X-Reasonrank-Cut-Short"
ID_HEADER = "X-Request-Id"
CLIENT_GONE = 499
"""The status counted for a caller that disconnected before the reply."""


@dataclass(slots=True)
class Exchange:
    """One request while it is answered. `shape` is a guess from the path until the body is read."""

    request: Request
    shape: Shape
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RerankEndpoint:
    """Answers the rerank routes of all shapes."""

    reranker: Reranker
    settings: ServerSettings
    admission: Admission
    health: EngineHealth
    metrics: ServerMetrics

    async def answer(self, request: Request) -> Response:
        """The reply or the error. Counted in the metrics; failures are logged without texts."""
        from starlette.responses import JSONResponse

        started, exchange = time.monotonic(), Exchange(request, shape_of({}, request.url.path))
        try:
            status, body = 200, await self._answer(exchange)
        except ClientGoneError:
            status, body = CLIENT_GONE, error_body(Refusal(CLIENT_GONE, "the client closed the connection"))
        except asyncio.CancelledError:  # the server is stopping
            status, body = 500, error_body(Refusal(500, "the server is stopping", "Unhealthy"))
        except Exception as error:
            refusal = refusal_of(error)
            if not isinstance(error, Refusal):
                self.health.failed(error)
                _log_failure(exchange.id, error)
            status, body = refusal.status, error_body(refusal)
            exchange.headers |= refusal.headers
        self.metrics.finished(exchange.shape.value, status, time.monotonic() - started)
        return JSONResponse(body, status, {ID_HEADER: exchange.id, **exchange.headers})

    async def _answer(self, exchange: Exchange) -> Any:
        request, settings, limits = exchange.request, self.settings, self.settings.limits
        address = request.client.host if request.client else ""
        caller = caller_of(request.headers.get("authorization", ""), address, settings.tokens)
        fields = await read_object(request.receive, request.headers.get("content-type", ""), limits.body)
        exchange.shape = shape_of(fields, request.url.path)
        call = read_call(fields, exchange.shape, limits)
        deadline = self._deadline(call, request.headers)
        with self.admission.place(caller):
            ranking = await self._rank(call, deadline, caller, request.receive)
        self.health.answered(ranking)
        self.metrics.answered(ranking)
        if ranking.cut_short:
            exchange.headers[CUT_SHORT_HEADER] = "true"
        most = limits.reasoning_characters
        return reply(call, ranking, id=exchange.id, model=settings.model.name, reasoning_characters=most)

    def _deadline(self, call: RerankCall, headers: Mapping[str, str]) -> float:
        """The field, else the header, else the server's own; at most the server's longest."""
        seconds = call.deadline
        if seconds is None and (text := headers.get(DEADLINE_HEADER)) is not None:
            try:
                seconds = read_seconds(float(text), DEADLINE_HEADER)
            except ValueError:
                raise Refusal(400, f"{DEADLINE_HEADER} must be a number of seconds above 0") from None
        return min(seconds or self.settings.deadline, self.settings.longest_deadline)

    async def _rank(self, call: RerankCall, deadline: float, caller: Hashable, receive: Receive) -> Ranking:
        """The ranking. If the caller disconnects first, its model calls are cancelled: ClientGoneError."""
        candidates = [Candidate(document, rank=place) for place, document in enumerate(call.documents, 1)]
        ranking = asyncio.wrap_future(
            self.reranker.submit(call.query, candidates, deadline=deadline, caller=caller)
        )
        gone = asyncio.ensure_future(_disconnected(receive))
        both: set[asyncio.Future[Any]] = {ranking, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not ranking.done():
                raise ClientGoneError
            return ranking.result()
        finally:
            gone.cancel()
            ranking.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _log_failure(id: str, error: Exception) -> None:
    """Log an error of this package as one line; of any other, whose message may contain a text, its type and place."""
    if isinstance(error, ReasonRankError):
        log.warning("reasonrank: request %s: %s: %s", id, type(error).__name__, one_line(error))
        return
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("reasonrank: request %s: unexpected %s\n%s", id, type(error).__name__, places)
