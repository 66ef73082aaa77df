"""Scores with intervals, comparisons of runs, and the HTML report (`evaluation.report`)."""

from __future__ import annotations

from .evaluation import EvaluateRequest, EvaluateResult, evaluate

__all__ = ["EvaluateRequest", "EvaluateResult", "evaluate"]
