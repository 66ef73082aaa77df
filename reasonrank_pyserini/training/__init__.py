"""Training data and training of listwise rerankers that reason before they rank."""

from __future__ import annotations

from .heldout import score
from .train_estimate import TrainEstimate, estimate
from .train_request import TrainRequest, TrainResult
from .train_run import run

__all__ = ["TrainEstimate", "TrainRequest", "TrainResult", "estimate", "run", "score"]
