"""The model, engine, judge and setting options of several commands, and what they stand for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import InputError, UnknownNameError
from ..ranking.model_request import ModelRequest, SettingOverrides
from .option_groups import option_group

DEFAULT_API = "completions"
SECRET_ARGUMENT = re.compile(r"(^|_)(key|secret|passw\w*|auth_token|access_token|bearer)$")

ENGINE_OPTIONS = (
    click.option("--model", metavar="M", help="Model: hub id, local folder, or nano (the toy model)."),
    click.option("--revision", metavar="R", help="Revision on the hub: commit, tag or branch."),
    click.option("--tokenizer", metavar="T", help="Tokenizer (hub id or folder), if not in the model's folder."),
    click.option("--profile", metavar="P", help="Model profile: a shipped name or a TOML file."),
    click.option("--engine", metavar="E", help="vllm, transformers, openai or module:attribute.  "
                 "[default: vllm; with --base-url or --servers openai; for nano transformers]"),
    click.option("--base-url", multiple=True, metavar="URL",
                 help="OpenAI-compatible server (http://127.0.0.1:8000/v1); several share the work."),
    click.option("--servers", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                 help="A base URL on each line, read again during the run: servers join and leave by a line."),
    click.option("--replicas", type=int, metavar="N",
                 help="vllm: servers to start.  [default: one for each GPU, or group of tensor-parallel GPUs]"),
    click.option("--ray", metavar="ADDRESS",
                 help="vllm: start the replicas in this Ray cluster (auto, or HOST:PORT)."),
    click.option("--vllm-python", metavar="PATH",
                 help="vllm: the Python of another environment that has vLLM.  [default: this one]"),
    click.option("--api", type=click.Choice(["completions", "chat"]),
                 help="Server API: completions sends token ids; chat sends messages.  [default: completions]"),
    click.option("--engine-arg", multiple=True, metavar="KEY=VALUE",
                 help="Any argument of the engine, such as gpu_memory_utilization=0.8."),
)  # fmt: skip
"""Which model to ask and how to reach it."""

JUDGE_OPTIONS = (
    click.option("--judge", default="llm", show_default=True, metavar="llm|oracle[:NOISE]",
                 help="oracle orders windows by the judgements: the ceiling of a first stage, without a model."),
    click.option("--qrels", metavar="FILE", help="oracle: judgements, if no data set has them."),
    click.option("--qrels-kind", type=click.Choice(["plain", "fixed"]),
                 help="oracle: which judgements of the data set.  [default: plain]"),
)  # fmt: skip
"""Who judges the windows: the model, or the judgements themselves."""

WINDOW_OPTIONS = (
    click.option("--window", type=int, metavar="N", help="Passages in a window.  [default: profile]"),
    click.option("--step", type=int, metavar="N", help="Passages that the window moves up.  [default: profile]"),
    click.option("--passes", type=int, metavar="N", help="Times the window goes over the list.  [default: profile]"),
    click.option("--strategy", metavar="NAME",
                 help="Which passages are judged together: sliding, pooled, topdown, ..., or module:attribute.  "
                 "[default: profile, else sliding]"),
    click.option("--strategy-arg", multiple=True, metavar="KEY=VALUE",
                 help="Option of the strategy, such as epochs=6."),
    click.option("--budget", metavar="N|Ncalls|Ntokens",
                 help="What a query may cost; for strategies that can use it (pooled, topdown)."),
    click.option("--fuse", metavar="METHOD",
                 help="Fuse the reranked order with the first stage: rrf (ranks), min-max or z-score (scores)."),
    click.option("--fuse-weight", type=float, metavar="W",
                 help="--fuse: the reranker's share, 0 to 1.  [default: 0.5]"),
    click.option("--passage-tokens", type=int, metavar="N",
                 help="Longest passage shown, in tokens.  [default: data set, else profile]"),
    click.option("--reasoning-tokens", type=int, metavar="N",
                 help="Token budget for reasoning; the answer has its own.  [default: profile]"),
    click.option("--seed", type=int, help="Seed for models that sample.  [default: 0]"),
    click.option("--force-answer/--no-force-answer", default=None,
                 help="Where the reasoning ends without an answer, request the answer alone.  "
                 "[default: yes; no with --compat or --api chat]"),
    click.option("--constrained", is_flag=True,
                 help="vllm: enforce a permutation as the answer after the reasoning."),
    click.option("--answer-k", type=click.IntRange(min=1), metavar="K",
                 help="Ask only for the first K of a window; the rest keep their order.  [default: all]"),
    click.option("--compat", is_flag=True,
                 help="Behave as the authors' code: parser, windows, one request, order of lines."),
)  # fmt: skip
"""How windows are made and shown; what is left out comes from data set and profile."""

SETTING_OPTIONS = (
    click.option("--depth", type=int, metavar="N",
                 help="Candidates to rerank; the rest follow unchanged.  [default: 100]"),
    *WINDOW_OPTIONS,
)  # fmt: skip
"""How much of a list is reranked, and how."""


def model_request(
    *,
    model: str,
    api: str | None = None,
    base_url: Sequence[str] = (),
    engine_arg: Sequence[str] = (),
    **given: Any,
) -> ModelRequest:
    """The engine options' values as a ModelRequest."""
    return ModelRequest(
        model=model, api=api or DEFAULT_API, base_urls=tuple(base_url), engine_args=engine_arguments(engine_arg),
        **given,
    )  # fmt: skip


def check_unused(judge: str, options: Mapping[str, Any]) -> None:
    """InputError for options, by parameter, that were given and that the judge does not use."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, ())]
    if given:
        raise InputError(f"--judge {judge} does not use {', '.join(given)}: leave out one or the other")


def setting_overrides(
    *, compat: bool = False, constrained: bool = False, strategy_arg: Sequence[str] = (), **given: Any
) -> SettingOverrides:
    """The setting options' values as SettingOverrides; a switch that is off leaves the setting as it is."""
    options = named_values(strategy_arg, "--strategy-arg", "epochs=6") or None
    return SettingOverrides(
        compat=compat or None, constrained=constrained or None, strategy_args=options, **given
    )


def engine_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """The values of --engine-arg by name; InputError for a secret among them."""
    found = named_values(pairs, "--engine-arg", "gpu_memory_utilization=0.8")
    for key in filter(SECRET_ARGUMENT.search, found):
        raise InputError(
            f"--engine-arg {key}: arguments are recorded, so keys come from the environment (OPENAI_API_KEY; "
            "api_key_env=NAME names another variable)"
        )
    return found


def named_values(pairs: Sequence[str], option: str, example: str) -> dict[str, Any]:
    """KEY=VALUE pairs as a mapping; a value is JSON where it parses as JSON (2, true, 0.9, [..]), else text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        if not equals or not key:
            raise InputError(f"{option} {pair!r} is not KEY=VALUE, e.g. {option} {example}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


def oracle_noise(judge: str) -> float | None:
    """The noise of `--judge oracle` or `oracle:NOISE`; None for `llm`, InputError for anything else."""
    name, colon, noise = judge.partition(":")
    if name == "llm" and not colon:
        return None
    if name != "oracle":
        raise UnknownNameError("judge", judge, ("llm", "oracle"), "oracle:0.5 adds noise to the grades")
    try:
        value = float(noise) if colon else 0.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(f"--judge {judge}: the noise is a standard deviation, such as oracle:0.5")
    return value


setting_group = option_group("settings", SETTING_OPTIONS, setting_overrides)
"""Adds the setting options and gives the command SettingOverrides as `settings`."""
