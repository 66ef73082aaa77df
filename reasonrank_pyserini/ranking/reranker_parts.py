"""RerankerParts: what a plan hands to a Reranker."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines import Engine
from ..strategies import RankingStrategy
from .first_stage_fusion import FirstStageFusion
from .judge import Judge, JudgeFactory


@dataclass(frozen=True, slots=True)
class RerankerParts:
    """What `Reranker.from_parts` starts: how to judge, the engine if there is one, strategy, depth and fusion."""

    judge: Judge | JudgeFactory
    engine: Engine | None
    strategy: RankingStrategy
    depth: int
    fusion: FirstStageFusion | None = None
