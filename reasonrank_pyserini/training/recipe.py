"""Training recipes: hyper-parameters as data, with what differs from the authors' tools and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .network import Network

STAGES = ("sft", "grpo")


@dataclass(frozen=True, slots=True)
class Size:
    """A network's size, for the estimate of memory."""

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    kv_width: int
    """Key-value heads times their width."""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """Settings of both stages; `batch` counts the sequences of one optimizer step over all GPUs."""

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
    """Settings of supervised fine-tuning; `cutoff`: most tokens of prompt, answer and end token together."""

    epochs: float = 5.0
    steps: int = 0
    """Optimizer steps; replaces `epochs` when above 0."""
    cutoff: int = 23552
    order: str = "shuffled"
    """Or `given`: the order of the data, so that a file can start with easy examples."""


@dataclass(frozen=True, slots=True)
class Grpo(Optimisation):
    """Settings of GRPO; a round: `rollouts` answers to each of `prompts` prompts, `rounds_updates` optimizer steps."""

    rounds: int = 200
    prompts: int = 16
    rollouts: int = 8
    max_prompt: int = 20480
    max_completion: int = 3072
    recall_weight: float = 0.2
    """Weight of recall@10 in the reward; the weight of nDCG@10 is 1."""
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
    """A setting that differs from the authors' tool, or has another name there, and why."""

    stage: str
    setting: str
    authors: str
    here: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a model's two stages; without a `size`, the model's config.json gives it.

    With a `network`, fine-tuning without a model starts from that network, untrained.
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
