"""The server as an ASGI application around a running Reranker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import require
from ..reranker import Reranker
from .admission import Admission
from .engine_health import EngineHealth
from .refusal import Refusal, refusal_of
from .rerank_endpoint import RerankEndpoint
from .server_metrics import ServerMetrics
from .server_pages import ServerPages, refused
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

WITHOUT_ENGINE = 64
"""Requests at a time where a judge without an engine ranks."""


def make_app(reranker: Reranker, settings: ServerSettings) -> Starlette:
    """The application for any ASGI server; it neither starts nor closes `reranker`.

    At most as many requests are under way as the engine takes, and `settings.queue` more. InputError for settings that
    cannot work.
    """
    require("starlette", "the server")
    from starlette.applications import Starlette
    from starlette.routing import Route

    settings.check()

    def takes() -> int:
        return reranker.engine.limits.requests if reranker.engine is not None else WITHOUT_ENGINE

    def capacity() -> int:
        return takes() + settings.queue

    admission, health = Admission(capacity), EngineHealth(reranker)
    metrics = ServerMetrics(
        in_flight=lambda: admission.total,
        waiting=lambda: max(0, admission.total - takes()),
        ready=lambda: health.ready,
    )
    rerank = RerankEndpoint(reranker, settings, admission, health, metrics).answer
    pages = ServerPages(settings, health, metrics, capacity)
    gets = {
        "/health": pages.alive,
        "/ready": pages.ready,
        "/info": pages.info,
        "/v1/models": pages.models,
        "/metrics": pages.figures,
        "/openapi.json": pages.open_api,
        "/docs": pages.docs,
    }
    routes = [Route(path, rerank, methods=["POST"]) for path in ("/rerank", "/v1/rerank", "/v2/rerank")]
    routes += [Route(path, page, methods=["GET"]) for path, page in gets.items()]
    handlers = {404: _no_page, 405: _no_method, Exception: _failed}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _no_page(request: Request, error: Exception) -> Response:
    return refused(
        Refusal(
            404, "page not found: POST to /rerank, /v1/rerank or /v2/rerank; GET /docs describes the others"
        )
    )


async def _failed(request: Request, error: Exception) -> Response:
    return refused(refusal_of(error))


async def _no_method(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    return refused(Refusal(405, "method not allowed here: see GET /docs", headers=allowed))
