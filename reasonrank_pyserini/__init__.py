"""ReasonRank (arXiv 2508.07050) as a Pyserini stage: first stage, reasoning listwise reranker, run, score.

Nothing heavy is imported until it is used: torch, vLLM, Pyserini and the JVM load on first need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import late_exports

if TYPE_CHECKING:
    from .datasets import load_dataset
    from .first_stages.java import ensure_java
    from .reranker import Reranker
    from .runfile import read_run, write_run
    from .searcher import ReasonRankSearcher
    from .strategies import SlidingWindow
    from .types import Candidate, Document, Query, Ranking

__version__ = "0.1.0"

_HOMES = {
    "Candidate": ".types",
    "Document": ".types",
    "Query": ".types",
    "Ranking": ".types",
    "ReasonRankSearcher": ".searcher",
    "Reranker": ".reranker",
    "SlidingWindow": ".strategies",
    "ensure_java": ".first_stages.java",
    "load_dataset": ".datasets",
    "read_run": ".runfile",
    "write_run": ".runfile",
}

__all__ = [
    "Candidate",
    "Document",
    "Query",
    "Ranking",
    "ReasonRankSearcher",
    "Reranker",
    "SlidingWindow",
    "__version__",
    "ensure_java",
    "load_dataset",
    "read_run",
    "write_run",
]


__getattr__ = late_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
