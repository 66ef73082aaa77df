"""A training stage before it runs: what was asked for, its data, and the arguments that both stages share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files.caches import file_sha256
from ..files.hub import MODEL_FILES, check_model, folder_of, local_folder
from ..files.lines import check_file
from ..lazy import require
from ..models.identity import load_tokenizer, model_context, model_identity
from .checkpoints import StageFolder
from .data import Counts, Encoder, Tokenised, for_grpo, for_sft, read_examples
from .network import learn_tokenizer, write_network
from .recipe import Grpo, Recipe, Sft

if TYPE_CHECKING:
    from .rendering import Example


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: `kind` is "sft" or "grpo", `model` a folder, a hub id, or "" for the recipe's network."""

    kind: str
    recipe: Recipe
    data: Path
    model: str
    vllm: bool = False

    @property
    def settings(self) -> Sft | Grpo:
        return self.recipe.stage(self.kind)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose data is tokenised: ready to train, or to be told about."""

    request: Request
    tokenizer: Any
    encoder: Encoder
    examples: tuple[Tokenised, ...]
    counts: Counts
    configuration: Mapping[str, Any]


def prepare(request: Request) -> Prepared:
    """The request with its data read, tokenised and filtered; InputError for what cannot be trained on."""
    check_file(request.data, "data file")
    read = read_examples(request.data)
    tokenizer = _tokenizer(request, read)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    kept, counts = _fitting(request, read, encoder := Encoder(tokenizer))
    configuration = {
        "stage": request.kind,
        "settings": asdict(request.settings),
        "model": model_identity(request.model) if request.model else {"untrained": _network(request)},
        "data": file_sha256(request.data),
        **({"vllm": request.vllm} if request.kind == "grpo" else {}),
    }
    return Prepared(request, tokenizer, encoder, tuple(kept), counts, configuration)


def _network(request: Request) -> dict[str, Any]:
    """The untrained network that is asked for, as its identity holds it; InputError when there is none."""
    if request.recipe.network is None or request.kind != "sft":
        raise InputError(f"recipe {request.recipe.name!r} names no model: give --model, a folder or a hub id")
    return asdict(request.recipe.network)


def _tokenizer(request: Request, examples: Sequence[Example]) -> Any:
    """The model's, or for an untrained network one learnt from the examples."""
    if request.model:
        check_model(request.model)
        return load_tokenizer(request.model)
    texts = (text for e in examples for text in (*(m["content"] for m in e.prompt_messages), e.answer))
    return learn_tokenizer(texts, _network(request)["vocabulary"])


def _fitting(request: Request, read: Sequence[Example], encoder: Encoder) -> tuple[list[Tokenised], Counts]:
    """The examples that fit the recipe's limits and the model's context."""
    settings, network = request.settings, request.recipe.network
    context = model_context(request.model) if request.model else network and network.context
    context = context or 1 << 40
    if isinstance(settings, Sft):
        return for_sft(read, encoder, min(settings.cutoff, context))
    if context <= settings.max_completion:
        raise InputError(
            f"answers of {settings.max_completion} tokens leave no room in the model's context of {context}: "
            "--set max_completion=N"
        )
    kept, counts = for_grpo(read, encoder, min(settings.max_prompt, context - settings.max_completion))
    if len(kept) < settings.prompts:
        raise InputError(
            f"a round takes {settings.prompts} prompts and {request.data} has {len(kept)} that fit: "
            "give more data, or --set prompts=N batch=M"
        )
    return kept, counts


def optimizer_steps(prepared: Prepared) -> int:
    """Updates of the weights in the whole stage."""
    settings = prepared.request.settings
    if settings.steps:
        return settings.steps
    assert isinstance(settings, Sft)
    return math.ceil(settings.epochs * math.ceil(len(prepared.examples) / settings.batch))


def world() -> int:
    """Processes that train together, as torchrun and accelerate tell them."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def rank() -> int:
    """This process's number among them."""
    return int(os.environ.get("RANK", "0"))


def spread(settings: Sft | Grpo, processes: int) -> tuple[int, int]:
    """Sequences at a time on each GPU, and how often they accumulate, for the recipe's batch exactly."""
    at_once = min(settings.per_device_batch, settings.batch // processes)
    if at_once == 0 or settings.batch % (at_once * processes):
        raise InputError(
            f"a batch of {settings.batch} cannot be spread over {processes} processes with "
            f"{settings.per_device_batch} at a time: --set batch=N, a multiple of both"
        )
    return at_once, settings.batch // (at_once * processes)


def has_gpu() -> bool:
    """Whether CUDA is there and not switched off for accelerate."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true") and torch.cuda.is_available()


def shared_arguments(settings: Sft | Grpo, folder: StageFolder) -> dict[str, Any]:
    """The trainer's arguments that both stages have."""
    gpu = has_gpu()
    at_once, accumulated = spread(settings, world())
    low = settings.precision == "bfloat16" and gpu
    frozen = settings.method == "lora" and low
    return {
        "output_dir": str(folder.checkpoints),
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": accumulated,
        "learning_rate": settings.learning_rate,
        "adam_beta1": settings.adam_beta1,
        "adam_beta2": settings.adam_beta2,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "max_steps": settings.steps or -1,
        "bf16": low,
        "use_cpu": not gpu,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": settings.keep_checkpoints,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": gpu,
        "ddp_find_unused_parameters": False,
        "model_init_kwargs": {
            "dtype": "bfloat16" if frozen else "float32",
            "device_map": None,
            "trust_remote_code": False,
        },
    }


def adapter(settings: Sft | Grpo) -> Any:
    """The LoRA configuration, on every linear layer but the head; None for full training."""
    if settings.method == "full":
        return None
    return require("peft", "LoRA training").LoraConfig(
        r=settings.lora_rank, lora_alpha=settings.lora_alpha, lora_dropout=0.0, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def model_folder(model: str) -> Path:
    """The model's files on this machine."""
    return local_folder(model) or folder_of(model, None, MODEL_FILES)


def starting_folder(prepared: Prepared, folder: StageFolder) -> Path:
    """The files that training starts from: the model's, or an untrained network written to `initial`."""
    request = prepared.request
    if request.model:
        return model_folder(request.model)
    initial = folder.path / "initial"
    if folder.leader and folder.resume_from is None and request.recipe.network is not None:
        write_network(request.recipe.network, prepared.tokenizer, initial, request.settings.seed)
    return initial
