"""Serves a model over HTTP until a signal stops it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..engines import Engine, start_note
from ..engines.journal import damage_line
from ..errors import InputError
from ..jobs.rerank_job import plan_notes
from ..jobs.saying import Say, silent
from ..lazy import require
from ..ranking.model_request import ModelRequest
from ..ranking.plan import Plan
from ..reranker import Reranker
from .callers import TOKENS, tokens_of
from .server_settings import ServedModel, ServerLimits, ServerSettings
from .web_app import make_app

DEPTH = 20
"""Documents of a request that are reranked: one window; the rest follow in the caller's order."""
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than the pools of clients keep one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """A server of one model.

    `journal`: a folder that keeps every answer, so that a repeated request costs nothing. `stop_seconds`: how long
    requests under way may take after a signal to stop. Tokens come from the environment (see `callers`). For
    the others see `ServerSettings`. `port` 0 takes a free one.
    """

    model: ModelRequest
    host: str = "127.0.0.1"
    port: int = 8000
    deadline: float = 25.0
    max_deadline: float = 300.0
    queue: int = 32
    limits: ServerLimits = field(default_factory=ServerLimits)
    journal: str | Path | None = None
    stop_seconds: float = 30.0

    def settings(self, plan: Plan) -> ServerSettings:
        """What the server promises and allows; InputError for values that cannot work."""
        name = plan.config.model
        served = ServedModel(
            Path(name).name if Path(name).is_dir() else name,
            plan.config.revision,
            plan.engine,
            plan.context,
            plan.settings.as_dict(),
        )
        found = ServerSettings(
            served, self.deadline, self.max_deadline, self.queue, self.limits, tokens_of(os.environ)
        )
        found.check()
        return found


def serve(request: ServeRequest, *, say: Say = silent) -> None:
    """Serve until SIGTERM or Ctrl-C. Requests under way then have `stop_seconds`; a second Ctrl-C stops at once.

    `say` takes what the user should know, at last the address, once requests are accepted. Raises InputError before
    anything is loaded for settings that cannot work, KeyboardInterrupt after a second Ctrl-C.
    """
    for package in ("starlette", "uvicorn", "prometheus_client"):
        require(package, "the server")
    plan = Plan.make(_with_depth(request.model))
    settings = request.settings(plan)
    listening = _listen(request.host, request.port)
    try:
        parts = plan.parts(journal=request.journal)
        for line in (
            *plan_notes(plan),
            *plan.preflight(),
            *_warnings(listening, settings),
            *_notes(parts.engine),
        ):
            say(line)
        with Reranker.from_parts(parts) as reranker:
            _run(reranker, settings, listening, request.stop_seconds, say)
    finally:
        listening.close()


def _with_depth(model: ModelRequest) -> ModelRequest:
    depth = DEPTH if model.settings.depth is None else model.settings.depth
    return replace(model, settings=replace(model.settings, depth=depth))


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address before the model is loaded, so that a taken port is reported at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise _cannot_listen(host, port, error) from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except (OSError, OverflowError) as error:
        found.close()
        raise _cannot_listen(host, port, error) from None
    return found


def _cannot_listen(host: str, port: int, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"cannot listen on {host}:{port} ({reason}): give another `host` or `port`")


def _warnings(listening: socket.socket, settings: ServerSettings) -> Iterator[str]:
    address = listening.getsockname()[0]
    if not (settings.tokens or address.startswith("127.") or address == "::1"):
        yield f"anyone who can reach {address} can use this server: set {TOKENS} to require tokens"


def _notes(engine: Engine | None) -> Iterator[str]:
    """What the user should know of the engine and its journal before it starts."""
    lines = (damage_line(engine), start_note(engine) if engine is not None else None)
    yield from filter(None, lines)


def _url(listening: socket.socket) -> str:
    address, port = listening.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _run(
    reranker: Reranker, settings: ServerSettings, listening: socket.socket, stop_seconds: float, say: Say
) -> None:
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            say(f"{settings.model.name} is served at {url}")

    url = _url(listening)
    config = uvicorn.Config(
        make_app(reranker, settings), lifespan="off", access_log=False, log_level="warning", server_header=False,
        timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=max(1, round(stop_seconds)),
    )  # fmt: skip
    server: Any = Announcing(config)
    with _signals_end_it_alone():
        server.run(sockets=[listening])
    if server.force_exit:
        raise KeyboardInterrupt


@contextmanager
def _signals_end_it_alone() -> Iterator[None]:
    """During the block the signals that uvicorn takes, and sends again once it has stopped, do nothing else."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
