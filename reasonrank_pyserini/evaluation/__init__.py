"""Scores with intervals, comparisons of runs, weights of fused runs, and the HTML report (`evaluation.report`)."""

from __future__ import annotations

from .evaluation import EvaluateRequest, EvaluateResult, evaluate
from .fusion_weights import FittedWeights, FitWeightsRequest, fit_weights

__all__ = [
    "EvaluateRequest",
    "EvaluateResult",
    "FitWeightsRequest",
    "FittedWeights",
    "evaluate",
    "fit_weights",
]
