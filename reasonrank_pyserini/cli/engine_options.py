"""The model, engine and setting options of commands that ask a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def engine_options(command: F) -> F:
    """Adds which model to ask and how to reach it."""
    options = (
        click.option("--model", metavar="M", help="Hub id or local folder."),
        click.option("--revision", metavar="R", help="The hub revision (commit, tag or branch)."),
        click.option("--tokenizer", metavar="T", help="Tokenizer, where it is not the model's own."),
        click.option("--profile", metavar="P", help="Model profile: a shipped name or a TOML file."),
        click.option("--engine", metavar="E", help="vllm, transformers, openai or module:attribute.  "
                     "[default: vllm; with --base-url openai; for nano transformers]"),
        click.option("--base-url", multiple=True, metavar="URL",
                     help="OpenAI-compatible server (http://127.0.0.1:8000/v1); several share the work."),
        click.option("--api", type=click.Choice(["completions", "chat"]), default="completions", show_default=True,
                     help="completions sends token ids; chat is for third parties."),
        click.option("--engine-arg", multiple=True, metavar="KEY=VALUE", help="Any argument of the engine."),
    )  # fmt: skip
    return _added(command, options)


def judge_options(command: F) -> F:
    """Adds who judges the windows: the model, or the judgements themselves."""
    options = (
        click.option("--judge", default="llm", show_default=True, metavar="llm|oracle[:NOISE]",
                     help="oracle orders by relevance: the ceiling of a first stage, no model needed."),
        click.option("--qrels", metavar="FILE", help="oracle: judgements, where the data set has none."),
        click.option("--qrels-kind", type=click.Choice(["plain", "fixed"]), default="plain", show_default=True,
                     help="oracle: which judgements of the data set."),
    )  # fmt: skip
    return _added(command, options)


def setting_options(command: F) -> F:
    """Adds how windows are made and shown; what is left out comes from data set and profile."""
    options = (
        click.option("--depth", type=int, metavar="N", help="Candidates to rerank, the rest follows.  [default: 100]"),
        click.option("--window", type=int, metavar="N", help="Passages in a window.  [profile]"),
        click.option("--step", type=int, metavar="N", help="How far the window moves.  [profile]"),
        click.option("--passes", type=int, metavar="N", help="Times over the list.  [profile]"),
        click.option("--passage-tokens", type=int, metavar="N", help="Shown of a passage.  [data set, else profile]"),
        click.option("--reasoning-tokens", type=int, metavar="N", help="Before the answer's 100.  [profile]"),
        click.option("--seed", type=int, default=0, show_default=True, help="For sampled models."),
        click.option("--force-answer/--no-force-answer", default=None,
                     help="Ask for the answer alone where none came.  [default: yes; no with --compat and --api chat]"),
        click.option("--constrained", is_flag=True,
                     help="vllm: the answer after the reasoning can only be a permutation."),
        click.option("--answer-k", type=click.IntRange(min=1), metavar="K",
                     help="Only the first K of a window are asked for, the rest keeps its order.  [default: all]"),
        click.option("--compat", is_flag=True, help="The authors' parser, windows and one request, quirks included."),
    )  # fmt: skip
    return _added(command, options)


def _added(command: F, options: tuple[Callable[[Any], Any], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
