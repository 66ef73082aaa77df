"""Training recipes: hyper-parameters as data, shipped as TOML, with what differs from the authors' tools and why."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError, UnknownNameError
from .network import Network
from .recipe_checks import check

STAGES = ("sft", "grpo")


@dataclass(frozen=True, slots=True)
class Size:
    """What the memory model needs to know of a network."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    kv_width: int
    """Key-value heads times their width."""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """What both stages share; `batch` counts sequences of one optimizer step over all GPUs."""

    method: str = "full"
    lora_rank: int = 32
    lora_alpha: int = 32
    learning_rate: float = 5e-6
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    scheduler: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    batch: int = 64
    per_device_batch: int = 1
    precision: str = "bfloat16"
    gradient_checkpointing: bool = True
    seed: int = 42
    save_steps: int = 50
    keep_checkpoints: int = 2


@dataclass(frozen=True, slots=True)
class Sft(Optimisation):
    """Supervised fine-tuning; `cutoff`: tokens of prompt, answer and end token together, at most."""

    epochs: float = 5.0
    steps: int = 0
    """Optimizer steps, instead of epochs when above 0."""
    cutoff: int = 23552
    order: str = "shuffled"
    """Or `given`: the data's own order, so that a file can start with what is easy."""


@dataclass(frozen=True, slots=True)
class Grpo(Optimisation):
    """GRPO; one round samples `rollouts` answers for `prompts` prompts and makes `rounds_updates` optimizer steps."""

    rounds: int = 200
    prompts: int = 16
    rollouts: int = 8
    max_prompt: int = 20480
    max_completion: int = 3072
    recall_weight: float = 0.2
    """Of recall@10 in the reward; nDCG@10 counts 1."""
    rbo_weight: float = 0.1
    beta: float = 0.001
    clip: float = 0.2
    dual_clip: float = 3.0
    loss: str = "grpo"
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    vllm_memory: float = 0.5
    vllm_tensor_parallel: int = 1

    @property
    def rounds_updates(self) -> int:
        """Optimizer steps of one round."""
        return self.prompts * self.rollouts // self.batch

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.rounds * self.rounds_updates


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not what the authors' tool did, or that has another name, and why."""

    stage: str
    setting: str
    authors: str
    here: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model's two stages; `size` is None when only the model's own config.json tells it.

    With a `network`, fine-tuning without a model starts from that one, untrained.
    """

    name: str
    model: str
    note: str
    sft: Sft = field(default_factory=Sft)
    grpo: Grpo = field(default_factory=Grpo)
    size: Size | None = None
    network: Network | None = None
    differences: tuple[Difference, ...] = ()

    def stage(self, name: str) -> Sft | Grpo:
        """The settings of `sft` or `grpo`."""
        return self.sft if name == "sft" else self.grpo

    def as_dict(self) -> dict[str, Any]:
        """The whole recipe as JSON can hold it."""
        return asdict(self)


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes."""
    folder = resources.files(__package__) / "recipes"
    return tuple(
        sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    )


def load_recipe(name: str, overrides: Iterable[str] = (), *, stage: str = "sft") -> Recipe:
    """A shipped recipe or a TOML file, with `key=value` and `stage.key=value` laid over it.

    A file that says `extends = "7b"` needs only what differs. A key without a stage belongs to `stage`.
    """
    recipe = _from_file(Path(name)) if name.endswith(".toml") else _shipped(name)
    recipe = _overridden(recipe, overrides, stage)
    check(name, recipe)
    return recipe


def _shipped(name: str) -> Recipe:
    if name not in recipe_names():
        raise UnknownNameError("recipe", name, recipe_names(), "or give a file, such as mine.toml")
    text = (resources.files(__package__) / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    return _built(f"{name}.toml", tomllib.loads(text))


def _from_file(path: Path) -> Recipe:
    try:
        return _built(str(path), tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FileFormatError(path, None, f"not TOML: {error}") from error


def _built(where: str, content: Mapping[str, Any]) -> Recipe:
    tables = dict(content)
    base = _shipped(str(tables.pop("extends"))) if "extends" in tables else Recipe(Path(where).stem, "", "")
    tables.setdefault("name", Path(where).stem)
    for key in tables:
        if key not in {item.name for item in dataclasses.fields(Recipe)}:
            known = [item.name for item in dataclasses.fields(Recipe)] + ["extends"]
            raise FileFormatError(where, None, str(UnknownNameError("key", key, known)))
    values: dict[str, Any] = {key: tables[key] for key in ("name", "model", "note") if key in tables}
    for stage in STAGES:
        if stage in tables:
            values[stage] = _replaced(base.stage(stage), tables[stage], f"{where}: [{stage}]")
    if "size" in tables:
        values["size"] = Size(**tables["size"])
    if "network" in tables:
        values["network"] = _replaced(base.network or Network(), tables["network"], f"{where}: [network]")
    if "differences" in tables:
        values["differences"] = tuple(Difference(**item) for item in tables["differences"])
    return dataclasses.replace(base, **values)


def _overridden(recipe: Recipe, overrides: Iterable[str], stage: str) -> Recipe:
    for text in overrides:
        key, equals, value = text.partition("=")
        table, dot, name = key.strip().rpartition(".")
        if not equals or (dot and table not in STAGES):
            raise InputError(f"--set {text!r}: write key=value or {stage}.key=value")
        part = table or stage
        changed = _replaced(recipe.stage(part), {name: _value(value.strip())}, f"--set {text}")
        recipe = dataclasses.replace(recipe, **{part: changed})
    return recipe


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _replaced(stage: Any, values: Mapping[str, Any], where: str) -> Any:
    """The stage's settings with those values, each checked against its default's type."""
    known = {item.name: getattr(stage, item.name) for item in dataclasses.fields(stage)}
    fitted = {}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{where}: {UnknownNameError('key', key, known)}")
        wanted = type(known[key])
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise InputError(f"{where}: {key} is {value!r}: it must be {_WORDS[wanted]}")
        fitted[key] = value
    return dataclasses.replace(stage, **fitted)


_WORDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
