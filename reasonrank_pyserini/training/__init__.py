"""Training data and training of listwise rerankers that reason before they rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import late_exports

if TYPE_CHECKING:
    from .heldout import score
    from .train_estimate import TrainEstimate, estimate
    from .train_request import TrainRequest, TrainResult
    from .train_run import run

_HOMES = {
    "TrainEstimate": ".train_estimate",
    "TrainRequest": ".train_request",
    "TrainResult": ".train_request",
    "estimate": ".train_estimate",
    "run": ".train_run",
    "score": ".heldout",
}

__all__ = ["TrainEstimate", "TrainRequest", "TrainResult", "estimate", "run", "score"]


__getattr__ = late_exports(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
