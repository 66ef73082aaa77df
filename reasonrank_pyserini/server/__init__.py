"""Reranking over HTTP, with the APIs that existing rerank clients call.

Needs the extra `serve`; nothing of it is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import late_exports

if TYPE_CHECKING:
    from .serve_run import ServeRequest, serve
    from .server_settings import ServedModel, ServerLimits, ServerSettings
    from .web_app import make_app

_HOMES = {
    "ServeRequest": ".serve_run",
    "ServedModel": ".server_settings",
    "ServerLimits": ".server_settings",
    "ServerSettings": ".server_settings",
    "make_app": ".web_app",
    "serve": ".serve_run",
}

__all__ = ["ServeRequest", "ServedModel", "ServerLimits", "ServerSettings", "make_app", "serve"]


__getattr__ = late_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
