"""Model profiles: what a model was made for, as data. One TOML file a model, the user's own read alike."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

from ...errors import FileFormatError, InputError, UnknownNameError
from ...types import AnswerForm, Sampling
from .profile_rules import PROFILE_RULES, SIZE_RULES, checked, nearest

GENERIC = "generic"
"""The profile of any model that has none of its own."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large a model is; `weights_bytes` as published, a key or value of the cache in two bytes."""

    parameters: int | None = None
    weights_bytes: int | None = None
    hidden_size: int | None = None
    layers: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None

    @property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of key-value cache a token needs at 16 bits; None when the shape is unknown."""
        if self.layers is None or self.kv_heads is None or self.head_dim is None:
            return None
        return 2 * self.layers * self.kv_heads * self.head_dim * 2


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings a model was published with; tokens are its own, `context` is prompt plus answer."""

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

    @property
    def max_tokens(self) -> int:
        """The whole budget of new tokens: reasoning and answer."""
        return self.reasoning_tokens + self.answer_tokens

    def sampling(self, *, seed: int | None = None, answer: AnswerForm = "tagged") -> Sampling:
        """How a completion of this model is drawn; no reasoning budget when `reasoning_tokens` is 0."""
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
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def shipped_profile(name: str) -> Profile:
    """The shipped profile of that name; UnknownNameError otherwise."""
    if name not in profile_names():
        raise UnknownNameError("profile", name, profile_names(), "or give a .toml file of your own")
    file = resources.files(__name__) / f"{name}.toml"
    return parse_profile(file.read_text(encoding="utf-8"), file.name)


def load_profile(path: str | Path) -> Profile:
    """The profile in a user's TOML file; what it leaves out comes from `extends` (default: `generic`).

    `extends` is the name of a shipped profile; `name` defaults to the file's. A file that cannot be used:
    InputError or FileFormatError, with the line where it is known.
    """
    path = Path(os.path.expanduser(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"the profile {str(path)!r} cannot be read: {reason}") from error
    return parse_profile(text, path)


def find_profile(model: str, explicit: str | Path | None = None) -> tuple[Profile, bool]:
    """The profile for a model id or folder, and whether it was made for it (False: `generic` stands in).

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
    """A model's plain name: the last part of its id, or its folder's; in a hub cache the repository's."""
    path = Path(os.path.expanduser(model))
    parts = path.resolve().parts if path.is_dir() else path.parts
    cached = [part.rpartition("--")[2] for part in parts if part.startswith("models--")]
    return (cached or parts or ("",))[-1]


def parse_profile(text: str, path: str | Path) -> Profile:
    """The profile in a TOML text that came from `path`; FileFormatError for anything that does not fit."""
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise FileFormatError(path, int(found[1]) if found else None, f"not TOML: {error}") from error

    def fail(key: str, problem: str) -> FileFormatError:
        at = re.search(rf"^[ \t]*\[?[ \t]*[\"']?{re.escape(key)}\b", text, re.MULTILINE)
        return FileFormatError(path, text.count("\n", 0, at.start()) + 1 if at else None, problem)

    is_generic = str(path) == f"{GENERIC}.toml"
    values = checked(record, PROFILE_RULES, fail)
    size = checked(values.pop("size", {}), SIZE_RULES, fail)
    if is_generic and "extends" not in values:
        return Profile(**values, size=ModelSize(**size))
    parent = values.pop("extends", GENERIC)
    if parent not in profile_names():
        raise fail(
            "extends", f"extends {parent!r}: no such shipped profile{nearest(parent, profile_names())}"
        )
    base = shipped_profile(parent)
    merged = {"name": Path(path).stem, "match": (), **values}
    profile = replace(base, size=replace(base.size, **size), **merged)
    if profile.step > profile.window:
        raise fail(
            "step", f"step {profile.step} is larger than window {profile.window}: passages would be skipped"
        )
    if profile.max_tokens >= profile.context:
        raise fail(
            "context", f"context {profile.context} leaves no room beside {profile.max_tokens} new tokens"
        )
    return profile
