"""What a user asks of a reranking: the model, the engine that runs it, settings in place of the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOverrides:
    """Settings in place of those of the data set and the model's profile; None leaves them. See `settings.Settings`."""

    style: str | None = None
    window: int | None = None
    step: int | None = None
    passes: int | None = None
    depth: int | None = None
    passage_tokens: int | None = None
    reasoning_tokens: int | None = None
    answer_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    compat: bool | None = None
    force_answer: bool | None = None
    constrained: bool | None = None
    answer_k: int | None = None
    strategy: str | None = None
    strategy_args: Mapping[str, Any] | None = None
    budget: str | int | None = None
    fuse: str | None = None
    fuse_weight: float | None = None

    @classmethod
    def named(cls, settings: Mapping[str, Any]) -> SettingOverrides:
        """Settings by name; UnknownNameError for a name that is none of them."""
        known = [item.name for item in fields(cls)]
        if unknown := sorted(settings.keys() - set(known)):
            raise UnknownNameError("setting", unknown[0], known)
        return cls(**settings)

    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """The model that judges the windows and how to reach it.

    `model`: a hub id, a local folder, or `nano`. `engine`: vllm, transformers, openai or module:attribute; None
    chooses openai where `base_urls` or `servers` are given, else the default for the model. `profile`: a shipped name
    or a TOML file, None finds the model's own. `servers`: a file with a base URL on each line, read again during the
    run. `replicas`: vLLM servers to start, None one for each group of GPUs; `ray`: the address of a Ray cluster that
    they run in (`auto`: the one that is running); `vllm_python`: the Python that has vLLM, None this one. `api`:
    completions (token ids are sent) or chat. `engine_args`: arguments of the engine by name; they are recorded, so no
    secrets.
    """

    model: str
    revision: str | None = None
    tokenizer: str | None = None
    profile: str | Path | None = None
    engine: str | None = None
    base_urls: tuple[str, ...] = ()
    servers: Path | None = None
    replicas: int | None = None
    ray: str | None = None
    vllm_python: str | None = None
    api: str = "completions"
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    settings: SettingOverrides = SettingOverrides()
