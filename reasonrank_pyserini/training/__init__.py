"""Training data and training of listwise rerankers that reason before they rank."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .heldout import score
    from .train_estimate import TrainEstimate, estimate
    from .train_request import TrainRequest, TrainResult
    from .train_run import run

_HOMES = {
    "TrainEstimate": "train_estimate",
    "TrainRequest": "train_request",
    "TrainResult": "train_request",
    "estimate": "train_estimate",
    "run": "train_run",
    "score": "heldout",
}

__all__ = ["TrainEstimate", "TrainRequest", "TrainResult", "estimate", "run", "score"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
