"""Model profiles: the settings that a model was published with, as data; one TOML file a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ...errors import UnknownNameError
from ...files.toml_tables import (
    TomlFile,
    nearest,
    parse_toml,
    read_toml,
    replaced,
    shipped_names,
    shipped_toml,
)
from ...types import AnswerForm, Sampling
from .judge_settings import JUDGE_RULES, PUBLISHED_RULES, JudgeSettings, PublishedScore
from .profile_rules import PROFILE_RULES, SIZE_RULES

__all__ = [
    "GENERIC",
    "JudgeSettings",
    "ModelSize",
    "Profile",
    "PublishedScore",
    "find_profile",
    "load_profile",
    "model_name",
    "parse_profile",
    "profile_names",
    "shipped_profile",
]
GENERIC = "generic"
"""The profile of a model without its own."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The size of a model; `weights_bytes` as published."""

    parameters: int | None = None
    weights_bytes: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of key-value cache per token at 16 bits; None when the shape is unknown."""
        if self.layers is None or self.kv_heads is None or self.head_dim is None:
            return None
        return 2 * self.layers * self.kv_heads * self.head_dim * 2


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings a model was published with; token counts are in its own tokens, `context` is prompt plus answer.

    `strategy` with `strategy_args`: which windows are judged, see `strategies`. `own_passage_tokens`: `passage_tokens`
    stands whatever a data set's passage length is.
    """

    name: str
    style: str
    window: int
    step: int
    passes: int
    passage_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    context: int
    dtype: str = "auto"
    match: tuple[str, ...] = ()
    size: ModelSize = field(default_factory=ModelSize)
    strategy: str = "sliding"
    strategy_args: Mapping[str, Any] = field(default_factory=dict)
    own_passage_tokens: bool = False
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    published: tuple[PublishedScore, ...] = ()

    @property
    def max_tokens(self) -> int:
        """The whole budget of new tokens: reasoning and answer."""
        return self.reasoning_tokens + self.answer_tokens

    def sampling(self, *, seed: int | None = None, answer: AnswerForm = "tagged") -> Sampling:
        """The model's Sampling; without a reasoning budget when `reasoning_tokens` is 0."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=seed,
            max_tokens=self.max_tokens,
            reasoning_tokens=self.reasoning_tokens or None,
            answer=answer,
        )


def profile_names() -> list[str]:
    """The names of the shipped profiles, sorted."""
    return list(shipped_names(__name__))


def shipped_profile(name: str) -> Profile:
    """The shipped profile of that name; UnknownNameError otherwise."""
    if name not in profile_names():
        raise UnknownNameError("profile", name, profile_names(), "or give a .toml file of your own")
    return _profile(shipped_toml(__name__, name))


def load_profile(path: str | Path) -> Profile:
    """The profile in a user's TOML file; settings left out come from `extends` (default: `generic`).

    `extends` is the name of a shipped profile; `name` defaults to the file's. InputError for a file that
    cannot be used.
    """
    return _profile(read_toml(path, "profile"))


def find_profile(model: str, explicit: str | Path | None = None) -> tuple[Profile, bool]:
    """The profile for a model id or folder, and whether it is the model's own (False: `generic` is used).

    `explicit` (a shipped name, or a TOML file) decides when given. Otherwise the last part of the id, or the
    folder's name, is compared with each profile's `match` patterns, whatever the case.
    """
    if explicit is not None:
        file = str(explicit) not in profile_names() and (
            str(explicit).endswith(".toml") or Path(os.path.expanduser(explicit)).is_file()
        )
        return (load_profile(explicit) if file else shipped_profile(str(explicit))), True
    name = model_name(model).lower()
    for profile in map(shipped_profile, profile_names()):
        if any(fnmatchcase(name, pattern.lower()) for pattern in profile.match):
            return profile, True
    return shipped_profile(GENERIC), False


def model_name(model: str) -> str:
    """A model's name: the last part of its id or folder; in a hub cache that of its repository."""
    path = Path(os.path.expanduser(model))
    parts = path.resolve().parts if os.path.isdir(path) else path.parts
    cached = [part.rpartition("--")[2] for part in parts if part.startswith("models--")]
    return (cached or parts or ("",))[-1]


def parse_profile(text: str, path: str | Path) -> Profile:
    """The profile in a TOML text that came from `path`; FileFormatError for one that does not fit."""
    return _profile(parse_toml(text, path))


def _profile(file: TomlFile) -> Profile:
    values = file.check(file.values, PROFILE_RULES)
    size = file.check(values.pop("size", {}), SIZE_RULES, within="size")
    values["match"] = tuple(values.get("match", ()))
    judge = file.check(values.pop("judge", {}), JUDGE_RULES, within="judge")
    if "stop" in judge:
        judge["stop"] = tuple(judge["stop"])
    values["published"] = _published(file, values.get("published", []))
    if file.path == f"{GENERIC}.toml" and "extends" not in values:
        return Profile(**values, size=ModelSize(**size))
    parent = values.pop("extends", GENERIC)
    if parent not in profile_names():
        close = nearest(parent, profile_names())
        raise file.error("extends", f"extends {parent!r}: there is no shipped profile of that name{close}")
    base = shipped_profile(parent)
    named = replace(
        base,
        name=Path(file.path).stem,
        size=replace(base.size, **size),
        judge=replace(base.judge, **judge),
    )
    return _consistent(file, replaced(named, values))


def _published(file: TomlFile, rows: list[Any]) -> tuple[PublishedScore, ...]:
    needs = PUBLISHED_RULES.keys() - {"tasks"}
    checked = [file.check(row, PUBLISHED_RULES, within="published", needs=sorted(needs)) for row in rows]
    return tuple(PublishedScore(**{**row, "tasks": tuple(row.get("tasks", ()))}) for row in checked)


def _consistent(file: TomlFile, profile: Profile) -> Profile:
    if profile.step > profile.window:
        problem = f"step {profile.step} is larger than window {profile.window}: passages would be skipped"
        raise file.error("step", problem)
    if profile.max_tokens >= profile.context:
        raise file.error(
            "context",
            f"context {profile.context} leaves no room for a prompt and {profile.max_tokens} new tokens",
        )
    return profile
