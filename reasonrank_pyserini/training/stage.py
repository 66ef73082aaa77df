"""A training stage before it runs: its data as token ids, and the arguments that both stages share."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.caches import file_sha256, fingerprint
from ..files.hub import MODEL_FILES, check_model, folder_of, local_folder
from ..files.lines import check_file
from ..lazy import require
from ..models.identity import load_tokenizer, model_context, model_identity
from .checkpoints import StageFolder
from .data import Counts, Encoder, Tokenised, for_grpo, for_sft, read_examples
from .network import learn_tokenizer, write_network
from .recipe import Grpo, Sft
from .rendering import Example
from .train_request import StageRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stage whose data is tokenised; `configuration` is all that the trained model depends on."""

    request: StageRequest
    tokenizer: Any
    encoder: Encoder
    examples: tuple[Tokenised, ...]
    counts: Counts
    configuration: Mapping[str, Any]


def prepare(request: StageRequest) -> Prepared:
    """The stage with its data read, tokenised and filtered; InputError for data that cannot be trained on."""
    read, sha256 = _examples(request.data)
    tokenizer = _tokenizer(request, read)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    kept, counts = _fitting(request, read, encoder := Encoder(tokenizer))
    configuration = {
        "stage": request.kind,
        "settings": asdict(request.settings),
        "model": model_identity(request.model) if request.model else {"untrained": _network(request)},
        "data": sha256,
        **({"vllm": request.vllm} if request.kind == "grpo" else {}),
    }
    return Prepared(request, tokenizer, encoder, tuple(kept), counts, configuration)


def _examples(data: str | Path | Sequence[Example]) -> tuple[Sequence[Example], str]:
    """The examples and a digest of them: of the file, or of their fields."""
    if isinstance(data, str | Path):
        check_file(data, "data file")
        return read_examples(data), file_sha256(data)
    if not data:
        raise InputError("`data` holds no example")
    return data, fingerprint({"examples": [asdict(example) for example in data]})


def _network(request: StageRequest) -> dict[str, Any]:
    """The settings of the recipe's untrained network; InputError when it has none, and for GRPO."""
    if request.recipe.network is None or request.kind != "sft":
        raise InputError(f"recipe {request.recipe.name!r} names no model: give `model`, a folder or a hub id")
    return asdict(request.recipe.network)


def _tokenizer(request: StageRequest, examples: Sequence[Example]) -> Any:
    """The model's tokenizer; for an untrained network, one learnt from the examples."""
    if request.model:
        check_model(request.model)
        return load_tokenizer(request.model)
    texts = (text for e in examples for text in (*(m["content"] for m in e.prompt_messages), e.answer))
    return learn_tokenizer(texts, _network(request)["vocabulary"])


def _fitting(
    request: StageRequest, read: Sequence[Example], encoder: Encoder
) -> tuple[list[Tokenised], Counts]:
    """The examples that fit the recipe's limits and the model's context."""
    settings, network = request.settings, request.recipe.network
    context = model_context(request.model) if request.model else network and network.context
    context = context or 1 << 40
    if isinstance(settings, Sft):
        return for_sft(read, encoder, min(settings.cutoff, context))
    if context <= settings.max_completion:
        raise InputError(
            f"answers of {settings.max_completion} tokens leave no room in the model's context of {context}: "
            "set `max_completion` lower"
        )
    kept, counts = for_grpo(read, encoder, min(settings.max_prompt, context - settings.max_completion))
    if len(kept) < settings.prompts:
        raise InputError(
            f"a round takes {settings.prompts} prompts and the data has {len(kept)} that fit: "
            "give more data, or set `prompts` and `batch` lower"
        )
    return kept, counts


def optimizer_steps(prepared: Prepared) -> int:
    """Optimizer steps of the whole stage."""
    settings = prepared.request.settings
    if settings.steps:
        return settings.steps
    assert isinstance(settings, Sft)
    return math.ceil(settings.epochs * math.ceil(len(prepared.examples) / settings.batch))


def world() -> int:
    """How many processes train together, from the environment of torchrun or accelerate."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def rank() -> int:
    """This process's number among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def spread(settings: Sft | Grpo, processes: int) -> tuple[int, int]:
    """(sequences at a time on each GPU, times they accumulate) that make exactly the recipe's batch."""
    at_once = min(settings.per_device_batch, settings.batch // processes)
    if at_once == 0 or settings.batch % (at_once * processes):
        raise InputError(
            f"a batch of {settings.batch} cannot be spread over {processes} processes with "
            f"{settings.per_device_batch} at a time: set `batch` to a multiple of both"
        )
    return at_once, settings.batch // (at_once * processes)


def has_gpu() -> bool:
    """Whether CUDA is available and accelerate is not set to use the CPU."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true") and torch.cuda.is_available()


def shared_arguments(settings: Sft | Grpo, folder: StageFolder) -> dict[str, Any]:
    """The trainer's arguments that both stages share."""
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
