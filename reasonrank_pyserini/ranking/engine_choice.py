"""The engine that a request names, or the one that its other settings need."""

from __future__ import annotations

from ..engines import ENGINES, OWNERS, check_owners, default_engine
from ..errors import InputError, UnknownNameError
from .model_request import ModelRequest

APIS = ("completions", "chat")


def chosen_engine(request: ModelRequest) -> str:
    """The requested engine, or the default; InputError for an unknown one, and for an API that it does not have."""
    named = [owner for setting, owner in OWNERS.items() if getattr(request, setting) not in (None, ())]
    engine = request.engine or (named[0] if named else default_engine(request.model))
    if engine not in ENGINES and ":" not in engine:
        raise UnknownNameError("engine", engine, ENGINES, "or give your own as module:attribute")
    check_owners(engine, request)
    if request.api not in APIS:
        raise UnknownNameError("api", request.api, APIS)
    if request.api == "chat" and engine in ("vllm", "transformers"):
        raise InputError(f"api chat is for servers (engine openai); {engine} takes token ids")
    return engine
