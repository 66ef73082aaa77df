"""The tool `rerank` for MCP clients, over standard input and output or over HTTP."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import InputError, ReasonRankError
from ..files.outputs import clean_stdout
from ..jobs.saying import Say, silent
from ..lazy import require
from ..ranking.model_request import ModelRequest
from ..ranking.plan import Plan
from ..reranker import Reranker
from ..types import Document, Query
from .reranked_lists import scores

TOOL = (
    "Sort documents by how well they answer a query, with a language model that reasons over all of them together. "
    "Returns positions in the list of documents, counted from 0, best first."
)

GRACE = 5
"""Seconds that calls under way have after the signal to stop."""


@dataclass(frozen=True)  # without slots, which the SDK would take for defaults
class Place:
    """A document in the new order; `relevance_score` runs from 1 for the best down to 1/n."""

    index: int
    relevance_score: float


@dataclass(frozen=True)
class Places:
    """The documents asked for, best first; `cut_short`: the deadline passed, so the order is incomplete."""

    results: list[Place]
    cut_short: bool


def make_mcp_server(reranker: Reranker) -> Any:
    """An `mcp.server.MCPServer` with the tool `rerank`; a call that its client cancels stops its model calls."""
    server = require("mcp.server", "the MCP server").MCPServer(
        "reasonrank", version=__version__, log_level="WARNING"
    )
    tool_error = require("mcp.server.mcpserver.exceptions", "the MCP server").ToolError

    async def rerank(query: str, documents: list[str], top_n: int | None = None) -> Places:
        candidates = [Document(str(position), text) for position, text in enumerate(documents)]
        try:
            ranking = await asyncio.wrap_future(reranker.submit(Query("mcp", query), candidates))
        except ReasonRankError as error:
            raise tool_error(str(error)) from error
        count = len(ranking.ids)
        found = [Place(int(id), score / count) for id, score in zip(ranking.ids, scores(count), strict=True)]
        return Places(found[: top_n or count], ranking.cut_short)

    server.add_tool(rerank, description=TOOL)
    return server


def run_mcp(
    model: ModelRequest,
    *,
    address: tuple[str, int] | None = None,
    deadline: float | None = None,
    say: Say = silent,
) -> None:
    """Serve until the client leaves or the process is ended; `address` is for HTTP, None for standard input and output.

    Standard output carries the protocol alone: what engines print goes to standard error.
    """
    require("mcp.server", "the MCP server")
    plan = Plan.make(model)
    for line in plan.preflight():
        say(line)
    with ExitStack() as stack:
        with clean_stdout():
            reranker = stack.enter_context(Reranker.from_parts(plan.parts(), deadline=deadline))
        server = make_mcp_server(reranker)
        if address is None:
            server.run("stdio")
            return
        stack.enter_context(clean_stdout())
        _serve_http(server, address, say)


def _serve_http(server: Any, address: tuple[str, int], say: Say) -> None:
    """Serve streamable HTTP at /mcp until a signal comes; InputError for an address that cannot be had."""
    uvicorn = require("uvicorn", "the MCP server")
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    with listening:
        name = f"[{host}]" if ":" in host else host
        say(f"MCP at http://{name}:{listening.getsockname()[1]}/mcp")
        app = server.streamable_http_app(host=host)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE)
        uvicorn.Server(config).run(sockets=[listening])
