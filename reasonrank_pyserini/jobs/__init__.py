"""Retrieval and reranking as a whole: a request in, one folder out that can be continued and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import late_exports

if TYPE_CHECKING:
    from ..first_stages.encoder_options import EncoderOptions
    from ..first_stages.opening import FusionOptions, SearchOptions
    from ..ranking.model_request import ModelRequest, SettingOverrides
    from .collection import CollectionRequest
    from .rerank_estimate import RerankEstimate, estimate
    from .rerank_request import OracleRequest, RerankCounts, RerankRequest, RerankResult
    from .rerank_run import rerank
    from .retrieval import RetrieveRequest, RetrieveResult, retrieve
    from .run_fusion import FuseRequest, FuseResult, fuse_runs

_HOMES = {
    "CollectionRequest": ".collection",
    "EncoderOptions": "..first_stages.encoder_options",
    "FuseRequest": ".run_fusion",
    "FuseResult": ".run_fusion",
    "FusionOptions": "..first_stages.opening",
    "ModelRequest": "..ranking.model_request",
    "OracleRequest": ".rerank_request",
    "RerankCounts": ".rerank_request",
    "RerankEstimate": ".rerank_estimate",
    "RerankRequest": ".rerank_request",
    "RerankResult": ".rerank_request",
    "RetrieveRequest": ".retrieval",
    "RetrieveResult": ".retrieval",
    "SearchOptions": "..first_stages.opening",
    "SettingOverrides": "..ranking.model_request",
    "estimate": ".rerank_estimate",
    "fuse_runs": ".run_fusion",
    "rerank": ".rerank_run",
    "retrieve": ".retrieval",
}

__all__ = [
    "CollectionRequest",
    "EncoderOptions",
    "FuseRequest",
    "FuseResult",
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
    "fuse_runs",
    "rerank",
    "retrieve",
]


__getattr__ = late_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
