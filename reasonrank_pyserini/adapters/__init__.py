"""A Reranker inside other tools: PyTerrier, mteb, sentence-transformers, MCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import late_exports

if TYPE_CHECKING:
    from .cross_encoder import ReasonRankCrossEncoder
    from .mcp_server import make_mcp_server
    from .mteb_search import MtebReranker, write_top_ranked
    from .pyterrier_reranker import ReasonRank

_HOMES = {
    "MtebReranker": ".mteb_search",
    "ReasonRank": ".pyterrier_reranker",
    "ReasonRankCrossEncoder": ".cross_encoder",
    "make_mcp_server": ".mcp_server",
    "write_top_ranked": ".mteb_search",
}

__all__ = [
    "MtebReranker",
    "ReasonRank",
    "ReasonRankCrossEncoder",
    "make_mcp_server",
    "write_top_ranked",
]


__getattr__ = late_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
