"""`reasonrank serve`: a model behind the rerank APIs that existing clients call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from ..lazy import resolve
from ..ranking.model_request import ModelRequest, SettingOverrides
from . import VariadicCommand
from .engine_options import ENGINE_OPTIONS, WINDOW_OPTIONS, model_request, setting_overrides
from .option_groups import option_group
from .terminal import say

SERVER = {
    "request": "reasonrank_pyserini.server:ServeRequest",
    "limits": "reasonrank_pyserini.server:ServerLimits",
    "serve": "reasonrank_pyserini.server:serve",
}
"""The public names of the server, imported when they are used."""
DEPTH = click.option("--depth", type=int, metavar="N", default=20, show_default=True,
                     help="Documents of a request to rerank; the rest follow in the given order.")  # fmt: skip


def served_model(*, model: str | None, **engine: Any) -> ModelRequest:
    """The model that the options name; InputError when none is named."""
    if model is None:
        raise InputError("no model: give --model M, such as liuwenhan/reasonrank-7B (nano: the toy model)")
    return model_request(model=model, **engine)


@click.command(cls=VariadicCommand)
@option_group("model", ENGINE_OPTIONS, served_model)
@option_group("settings", (DEPTH, *WINDOW_OPTIONS), setting_overrides)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N",
              help="Port to listen on; 0 takes a free one.")  # fmt: skip
@click.option("--deadline", type=click.FloatRange(min=0, min_open=True), default=25.0, show_default=True,
              metavar="S", help="Seconds per request with waiting; then the reply is the order so far.")  # fmt: skip
@click.option("--max-deadline", type=click.FloatRange(min=0, min_open=True), default=300.0, show_default=True,
              metavar="S", help="Longest deadline that a request may ask for.")  # fmt: skip
@click.option("--queue", type=click.IntRange(min=0), default=32, show_default=True, metavar="N",
              help="Requests that wait while the engine is full; more get status 429.")  # fmt: skip
@click.option("--max-documents", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
              help="Documents of a request, at most.")  # fmt: skip
@click.option("--max-characters", type=click.IntRange(min=1), default=2_000_000, show_default=True, metavar="N",
              help="Characters of a request's query and documents together, at most.")  # fmt: skip
@click.option("--max-body", type=click.IntRange(min=1), default=8 * 2**20, show_default=True, metavar="N",
              help="Bytes of a request, at most.")  # fmt: skip
@click.option("--journal", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep every answer of the model here: a repeated request costs nothing.")  # fmt: skip
@click.option("--stop-seconds", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="S",
              help="Time for requests under way after Ctrl-C or SIGTERM.")  # fmt: skip
def command(
    model: ModelRequest,
    settings: SettingOverrides,
    max_documents: int,
    max_characters: int,
    max_body: int,
    **given: Any,
) -> None:
    """Serve a reranker with the rerank APIs of Cohere, Jina and Hugging Face TEI.

    POST /v2/rerank, /v1/rerank, /rerank; GET /health, /ready, /info, /v1/models, /metrics, /docs. Bearer tokens come
    from the environment: REASONRANK_SERVE_TOKENS="name:token name:token", or REASONRANK_SERVE_TOKENS_FILE. Runs until
    Ctrl-C. Needs pip install 'reasonrank-pyserini[serve]'.

    \b
    Examples:
      reasonrank serve --model liuwenhan/reasonrank-7B
      reasonrank serve --model nano --port 8080
    """
    limits = resolve("server", "limits", SERVER)(
        documents=max_documents, characters=max_characters, body=max_body
    )
    asked = resolve("server", "request", SERVER)(
        model=replace(model, settings=settings), limits=limits, **given
    )
    resolve("server", "serve", SERVER)(asked, say=say)
