"""Retrieval and reranking as a whole: a request in, one folder out that can be continued and replayed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ranking.model_request import ModelRequest, SettingOverrides
    from .collection import CollectionRequest
    from .rerank_estimate import RerankEstimate, estimate
    from .rerank_request import OracleRequest, RerankCounts, RerankRequest, RerankResult
    from .rerank_run import rerank

_HOMES = {
    "CollectionRequest": "jobs.collection",
    "ModelRequest": "ranking.model_request",
    "OracleRequest": "jobs.rerank_request",
    "RerankCounts": "jobs.rerank_request",
    "RerankEstimate": "jobs.rerank_estimate",
    "RerankRequest": "jobs.rerank_request",
    "RerankResult": "jobs.rerank_request",
    "SettingOverrides": "ranking.model_request",
    "estimate": "jobs.rerank_estimate",
    "rerank": "jobs.rerank_run",
}

__all__ = [
    "CollectionRequest",
    "ModelRequest",
    "OracleRequest",
    "RerankCounts",
    "RerankEstimate",
    "RerankRequest",
    "RerankResult",
    "SettingOverrides",
    "estimate",
    "rerank",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        package = __name__.rpartition(".")[0]
        found = getattr(importlib.import_module(f".{_HOMES[name]}", package), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
