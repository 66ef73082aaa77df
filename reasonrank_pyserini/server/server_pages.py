"""The pages about the server: health, model, settings, metrics, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import __version__
from .callers import caller_of
from .engine_health import EngineHealth
from .open_api import document, html_page
from .refusal import Refusal, error_body
from .server_metrics import ServerMetrics
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class ServerPages:
    """Answers all GET requests."""

    settings: ServerSettings
    health: EngineHealth
    metrics: ServerMetrics
    capacity: Callable[[], int]

    async def alive(self, request: Request) -> Response:
        """200 as long as the process runs."""
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 if the engine works, else 503, for the probes of load balancers."""
        if self.health.asked():
            return _json({"status": "ok"})
        return _json(error_body(Refusal(503, "the model's engine has stopped", "Unhealthy")), 503)

    async def info(self, request: Request) -> Response:
        """The model, its settings and the limits; the names of TEI's /info where it has them."""
        if (refused := self._refused(request)) is not None:
            return refused
        return _json(info(self.settings, self.capacity()))

    async def models(self, request: Request) -> Response:
        """The one model, as OpenAI's list."""
        if (refused := self._refused(request)) is not None:
            return refused
        row = {
            "id": self.settings.model.name,
            "object": "model",
            "created": 0,
            "owned_by": "reasonrank-pyserini",
        }
        return _json({"object": "list", "data": [row]})

    async def figures(self, request: Request) -> Response:
        """The metrics."""
        from starlette.responses import Response

        if (refused := self._refused(request)) is not None:
            return refused
        return Response(self.metrics.page(), media_type=self.metrics.media_type)

    async def open_api(self, request: Request) -> Response:
        """The OpenAPI document."""
        return _json(document(self.settings))

    async def docs(self, request: Request) -> Response:
        """The OpenAPI document as a page to read."""
        from starlette.responses import HTMLResponse

        return HTMLResponse(html_page(document(self.settings)))

    def _refused(self, request: Request) -> Response | None:
        try:
            caller_of(request.headers.get("authorization", ""), "", self.settings.tokens)
        except Refusal as refusal:
            return refused(refusal)
        return None


def refused(refusal: Refusal) -> Response:
    """A refusal as its response."""
    return _json(error_body(refusal), refusal.status, refusal.headers)


def info(settings: ServerSettings, capacity: int) -> dict[str, Any]:
    """What /info says."""
    model, limits = settings.model, settings.limits
    return {
        "model_id": model.name,
        "model_sha": model.revision,
        "model_dtype": "unknown",
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": capacity,
        "max_input_length": model.context,
        "max_client_batch_size": limits.documents,
        "auto_truncate": True,
        "version": __version__,
        "engine": model.engine,
        "settings": dict(model.settings),
        "deadline": settings.deadline,
        "max_deadline": settings.longest_deadline,
        "limits": {
            name: getattr(limits, name) for name in ("body", "documents", "query_characters", "characters")
        },
    }


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value, status, headers)
