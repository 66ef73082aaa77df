"""`reasonrank mcp`: the tool `rerank` for MCP clients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..errors import InputError
from ..lazy import resolve
from ..ranking.model_request import ModelRequest, SettingOverrides
from . import VariadicCommand
from .engine_options import ENGINE_OPTIONS, model_request, setting_group
from .option_groups import option_group
from .terminal import say

SERVERS = {"mcp": "reasonrank_pyserini.adapters.mcp_server:run_mcp"}


def engine_request(*, model: str | None, **engine: Any) -> ModelRequest:
    """The model that the options name; InputError when none is named."""
    if model is None:
        raise InputError("no model: give --model M, such as liuwenhan/reasonrank-7B")
    return model_request(model=model, **engine)


def host_and_port(given: str) -> tuple[str, int]:
    """HOST:PORT as its parts; an IPv6 host is in brackets."""
    host, colon, port = given.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"--http {given!r} is not HOST:PORT, e.g. --http 127.0.0.1:8001")
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command(cls=VariadicCommand)
@option_group("model", ENGINE_OPTIONS, engine_request)
@setting_group
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Seconds per call, including waiting; then the order so far is returned.")  # fmt: skip
@click.option("--http", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp, without authentication.  "
              "[default: standard input and output]")  # fmt: skip
def command(
    model: ModelRequest, settings: SettingOverrides, deadline: float | None, http: str | None
) -> None:
    """Give MCP clients the tool rerank (query, documents, top_n).

    Without --http the client starts this command and speaks to it over standard input and output.

    \b
    Examples:
      reasonrank mcp --model liuwenhan/reasonrank-7B --base-url http://127.0.0.1:8000/v1 --deadline 50
      reasonrank mcp --model nano --http 127.0.0.1:8001
    """
    address = None if http is None else host_and_port(http)
    resolve("server", "mcp", SERVERS)(
        replace(model, settings=settings), address=address, deadline=deadline, say=say
    )
