"""From the command line's flags to typed requests, for what does not parse its own yet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError, UnknownNameError
from ..ranking.model_request import ModelRequest, SettingOverrides
from ..ranking.plan import Plan

SETTINGS = (
    "window", "step", "passes", "depth", "passage_tokens", "reasoning_tokens", "seed", "force_answer", "answer_k",
)  # fmt: skip
SWITCHES = ("constrained", "compat")
SECRET_ARGUMENT = re.compile(r"(^|_)(key|secret|passw\w*|auth_token|access_token|bearer)$")


def make_plan(flags: Mapping[str, Any], passage_tokens: int | None) -> Plan:
    """The flags of the command line as a Plan."""
    if flags["model"] is None:
        raise InputError(
            "no model: give --model M, such as liuwenhan/reasonrank-7B (or --judge oracle, which needs none)"
        )
    request = ModelRequest(
        model=flags["model"],
        revision=flags["revision"],
        tokenizer=flags["tokenizer"],
        profile=flags["profile"],
        engine=flags["engine"],
        base_urls=tuple(flags["base_url"]),
        api=flags["api"],
        engine_args=engine_arguments(flags["engine_arg"]),
        settings=setting_flags(flags),
    )
    return Plan.make(request, dataset_passage_tokens=passage_tokens)


def setting_flags(flags: Mapping[str, Any]) -> SettingOverrides:
    """The settings among the flags, None where they were left out."""
    given = {**{name: flags[name] for name in SETTINGS}, **{name: flags[name] or None for name in SWITCHES}}
    return SettingOverrides(**given)


def engine_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs as a mapping; a value is JSON where it parses as JSON (2, true, 0.9, [..]), else text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        if not equals or not key:
            raise InputError(
                f"--engine-arg {pair!r} is not KEY=VALUE, e.g. --engine-arg gpu_memory_utilization=0.8"
            )
        if SECRET_ARGUMENT.search(key):
            raise InputError(
                f"--engine-arg {key}: arguments are recorded, so keys come from the environment (OPENAI_API_KEY; "
                "api_key_env=NAME names another variable)"
            )
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
