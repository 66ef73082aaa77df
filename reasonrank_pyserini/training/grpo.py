"""GRPO on the multi-view ranking reward: answers are sampled, scored as rankings, and compared within their group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..lazy import require
from . import stage
from .checkpoints import StageFolder
from .grpo_trainer import trainer_class
from .recipe import Grpo
from .train_request import StageRequest

if TYPE_CHECKING:
    from .rewards import Weights

PARTS = ("total", "ndcg", "recall", "rbo", "format")
"""The reward and its parts in the trainer's order; only the first is trained on."""


def check_processes(request: StageRequest) -> None:
    """InputError when vLLM is asked for without a GPU, or does not divide the processes."""
    if request.vllm and not stage.has_gpu():
        raise InputError("`vllm` needs a GPU (on a CPU its weights cannot be updated): leave it out")
    settings, processes = request.settings, stage.world()
    if request.vllm and isinstance(settings, Grpo) and processes % settings.vllm_tensor_parallel:
        raise InputError(
            f"vLLM over {settings.vllm_tensor_parallel} GPUs does not divide {processes} processes: "
            "set `vllm_tensor_parallel` to a divisor"
        )


def reward_functions(
    tokenizer: Any, *, opened: bool, weights: Weights | None = None
) -> list[Callable[..., list[float]]]:
    """One function for each of PARTS, as TRL calls them: data columns come as lists under their names.

    Text is decoded from the ids without special tokens, because TRL's own completion text depends on the
    tokenizer's response template. `opened`: the prompt ended with `<think>`.
    """
    from .rewards import DEFAULT_WEIGHTS, RewardParts, reward_parts

    views = weights or DEFAULT_WEIGHTS

    @lru_cache(maxsize=4096)
    def parts(text: str, label: str, shown: tuple[str, ...], relevant: tuple[str, ...]) -> RewardParts:
        return reward_parts(
            text, label=label, initial_list=shown, relevant=relevant, weights=views, opened=opened
        )

    def function(name: str) -> Callable[..., list[float]]:
        def reward(
            *,
            completion_ids: Sequence[Sequence[int]],
            label: Sequence[str],
            initial_list: Sequence[Sequence[str]],
            relevant: Sequence[Sequence[str]],
            **_: Any,
        ) -> list[float]:
            texts = tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
            rows = zip(texts, label, initial_list, relevant, strict=True)
            return [
                float(getattr(parts(text, wanted, tuple(shown), tuple(good)), name))
                for text, wanted, shown, good in rows
            ]

        reward.__name__ = name
        return reward

    return [function(name) for name in PARTS]


def trainer(prepared: stage.Prepared, folder: StageFolder, base: Path, callbacks: list[Any]) -> Any:
    """TRL's trainer with the multi-view reward, its prompts tokenised as at inference."""
    trl = require("trl", "training")
    dataset = require("datasets", "training").Dataset.from_list([e.grpo_columns() for e in prepared.examples])
    settings = prepared.request.settings
    assert isinstance(settings, Grpo)
    from .rewards import Weights

    return trainer_class(prepared.encoder)(
        model=str(base),
        reward_funcs=reward_functions(
            prepared.tokenizer,
            opened=prepared.encoder.opened,
            weights=Weights(1.0, settings.recall_weight, settings.rbo_weight),
        ),
        args=trl.GRPOConfig(**trainer_arguments(settings, folder, vllm=prepared.request.vllm)),
        train_dataset=dataset,
        processing_class=prepared.tokenizer,
        peft_config=stage.adapter(settings),
        callbacks=callbacks,
    )


def trainer_arguments(settings: Grpo, folder: StageFolder, *, vllm: bool) -> dict[str, Any]:
    """The recipe as arguments of TRL's GRPOConfig."""
    arguments: dict[str, Any] = {
        **stage.shared_arguments(settings, folder),
        "num_generations": settings.rollouts,
        "generation_batch_size": settings.prompts * settings.rollouts,
        "max_completion_length": settings.max_completion,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "beta": settings.beta,
        "use_bias_correction_kl": False,
        "epsilon": settings.clip,
        "delta": settings.dual_clip,
        "loss_type": settings.loss,
        "scale_rewards": "group",
        "reward_weights": [1.0] + [0.0] * (len(PARTS) - 1),
        "use_vllm": vllm,
    }
    if vllm:
        arguments |= {
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": settings.vllm_memory,
            "vllm_tensor_parallel_size": settings.vllm_tensor_parallel,
            "vllm_max_model_length": settings.max_prompt + settings.max_completion,
            "vllm_importance_sampling_correction": False,
        }
    return arguments
