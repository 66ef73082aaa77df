"""TRL's GRPO trainer with the prompts of inference, and with the answers to one prompt sharing its computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from ..lazy import require
from ..types import Sampling
from .data import Encoder
from .rollouts import sample_answers

METHODS = (
    "_tokenize_prompts",
    "_generate_single_turn",
    "_prepare_inputs",
    "_get_per_token_logps_and_entropies",
)
"""What the subclass overrides."""
WHOLE = ("NO", "MULTI_CPU", "MULTI_GPU")
"""Ways of spreading (accelerate's names) in which every process holds the whole model, so that it can decode alone."""


def trainer_class(encoder: Encoder) -> Any:
    """A subclass of TRL's trainer; InputError for a version of TRL whose methods are in another place."""
    base = require("trl", "training").GRPOTrainer
    if not all(hasattr(base, name) for name in METHODS):
        raise InputError("this version of trl has other methods: pip install 'trl>=1.16,<1.17'")
    return type("Trainer", (_SharedPrompts, base), {"encoder": encoder})


class _SharedPrompts:
    """Comes before TRL's trainer: prompts are tokenised as at inference; TRL would turn control strings in passages
    into control tokens.

    The rest only saves time, where a group's answers can share their prompt: see `GroupDecoder` for the
    answers and `shared_log_probabilities` for the log-probabilities.
    """

    encoder: Encoder
    _buffered_inputs: Any

    def _tokenize_prompts(self, prompts: Sequence[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [self.encoder.prompt(prompt) for prompt in prompts], None, {}

    def _generate_single_turn(self: Any, prompt_ids: Any, *others: Any, **named: Any) -> tuple[Any, None]:
        if self.use_vllm or not can_share(self):
            found: tuple[Any, None] = super()._generate_single_turn(prompt_ids, *others, **named)  # type: ignore[misc]
            return found
        sampling = Sampling(
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, max_tokens=self.max_completion_length
        )  # fmt: skip
        with _unwrapped(self) as model:
            answers = sample_answers(model, self.accelerator.device, prompt_ids, sampling, self.eos_token_ids)
        return answers, None

    def _prepare_inputs(self: Any, generation_batch: Any) -> Any:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)  # type: ignore[misc]
        if self._buffered_inputs is before or not _shares_gradients(self):
            return inputs
        self._buffered_inputs = in_groups(self._buffered_inputs, self.args.gradient_accumulation_steps)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _get_per_token_logps_and_entropies(
        self: Any, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int,
        batch_size: int | None = None, compute_entropy: bool = False, compute_aux_loss: bool = False, **others: Any,
    ) -> Any:  # fmt: skip
        if compute_aux_loss or not _shares_gradients(self):
            return super()._get_per_token_logps_and_entropies(  # type: ignore[misc]
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss,
                **others,
            )  # fmt: skip
        size = batch_size or len(input_ids)
        with self.accelerator.autocast():
            parts = [
                shared_log_probabilities(model, ids, mask, logits_to_keep)
                for ids, mask in zip(input_ids.split(size), attention_mask.split(size), strict=True)
            ]
        return _joined(parts, "log_probs"), _joined(parts, "entropy") if compute_entropy else None, None


def can_share(trainer: Any) -> bool:
    """Whether a process can decode alone and with a mask of its own: the model is whole and its attention is sdpa."""
    spread = trainer.accelerator.distributed_type.value
    attention = trainer.accelerator.unwrap_model(trainer.model).config._attn_implementation
    return spread in WHOLE and attention == "sdpa" and not trainer.use_transformers_continuous_batching


def _shares_gradients(trainer: Any) -> bool:
    """Whether prompts are shared in the loss: needs a cache, which checkpointing lacks, and two forward passes."""
    alone = trainer.accelerator.num_processes == 1
    return alone and can_share(trainer) and not trainer.use_vllm and not trainer.args.gradient_checkpointing


def _unwrapped(trainer: Any) -> Any:
    from trl.models import unwrap_model_for_generation

    return unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    )


def shared_log_probabilities(model: Any, ids: Any, mask: Any, count: int) -> Any:
    """TRL's fused output (log_probs, entropy) for the last `count` tokens; equal prompts in a row are computed once.

    The rows are a prompt and an answer of `count` columns. Values and gradients are those of whole rows, up to
    rounding. TRL computes the prompt anew for every answer, and transformers can only index a cache's rows, whose
    gradient several threads sum in no fixed order. Forward and backward of a round of recipe nano: 39 s of processor
    time for whole rows, 13 s here (eval/bench/reinforcement.py).
    """
    import torch
    from transformers import DynamicCache

    prefix = ids.shape[1] - count - 1  # the prompt's last token goes with the answer, whose first it predicts
    prompts = torch.cat([ids[:, :prefix], mask[:, :prefix]], dim=1)
    distinct, counts = prompts.unique_consecutive(dim=0, return_counts=True)
    cache, times = DynamicCache(), counts.tolist()
    model(
        input_ids=distinct[:, :prefix], attention_mask=distinct[:, prefix:], past_key_values=cache, use_cache=True,
        logits_to_keep=1,
    )  # fmt: skip
    for layer in cache.layers:
        layer.keys, layer.values = _repeated(layer.keys, times), _repeated(layer.values, times)
    labels = ids[:, prefix:].masked_fill(mask[:, prefix:] == 0, -100)
    labels[:, 0] = -100
    return model(
        input_ids=ids[:, prefix:],
        attention_mask=mask,
        past_key_values=cache,
        labels=labels,
        fused_lm_head=True,
    )


def _repeated(states: Any, times: Sequence[int]) -> Any:
    import torch

    return torch.cat([row.expand(n, -1, -1, -1) for row, n in zip(states.split(1), times, strict=True)])


def _joined(parts: Sequence[Any], name: str) -> Any:
    import torch

    return torch.cat([getattr(part, name) for part in parts])


def in_groups(batches: Sequence[Mapping[str, Any]], accumulated: int) -> list[dict[str, Any]]:
    """The micro-batches with the answers to one prompt together, as far as one optimizer step's go.

    TRL shuffles the round's answers over its steps; which answers a step has stays as drawn, and its gradient is
    the mean over its micro-batches, whatever their order.
    """
    import torch

    result: list[dict[str, Any]] = []
    for start in range(0, len(batches), accumulated):
        step = batches[start : start + accumulated]
        prompts = torch.cat([batch["prompt_ids"] for batch in step])
        order = prompts.unique(dim=0, return_inverse=True)[1].argsort(stable=True)
        parts = order.split(len(step[0]["prompt_ids"]))
        whole = {
            name: torch.cat([batch[name] for batch in step])[order]
            for name, value in step[0].items()
            if torch.is_tensor(value) and value.dim() > 0
        }
        for number, batch in enumerate(step):
            rows = slice(sum(map(len, parts[:number])), sum(map(len, parts[: number + 1])))
            result.append({**batch, **{name: value[rows] for name, value in whole.items()}})
    return result
