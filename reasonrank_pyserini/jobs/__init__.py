"""Retrieval and reranking as a whole: a request in, one folder out that can be continued and replayed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..first_stages.encoder_options import EncoderOptions
    from ..first_stages.opening import FusionOptions, SearchOptions
    from ..ranking.model_request import ModelRequest, SettingOverrides
    from .collection import CollectionRequest
    from .rerank_estimate import RerankEstimate, estimate
    from .rerank_request import OracleRequest, RerankCounts, RerankRequest, RerankResult
    from .rerank_run import rerank
    from .retrieval import RetrieveRequest, RetrieveResult, retrieve

_HOMES = {
    "CollectionRequest": "jobs.collection",
    "EncoderOptions": "first_stages.encoder_options",
    "FusionOptions": "first_stages.opening",
    "ModelRequest": "ranking.model_request",
    "OracleRequest": "jobs.rerank_request",
    "RerankCounts": "jobs.rerank_request",
    "RerankEstimate": "jobs.rerank_estimate",
    "RerankRequest": "jobs.rerank_request",
    "RerankResult": "jobs.rerank_request",
    "RetrieveRequest": "jobs.retrieval",
    "RetrieveResult": "jobs.retrieval",
    "SearchOptions": "first_stages.opening",
    "SettingOverrides": "ranking.model_request",
    "estimate": "jobs.rerank_estimate",
    "rerank": "jobs.rerank_run",
    "retrieve": "jobs.retrieval",
}

__all__ = [
    "CollectionRequest",
    "EncoderOptions",
    "FusionOptions",
    "ModelRequest",
    "OracleRequest",
    "RerankCounts",
    "RerankEstimate",
    "RerankRequest",
    "RerankResult",
    "RetrieveRequest",
    "RetrieveResult",
    "SearchOptions",
    "SettingOverrides",
    "estimate",
    "rerank",
    "retrieve",
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
