"""Scores a model on examples that it was not trained on: the mean reward of its greedy answers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.identity import load_tokenizer
from .data import Encoder, read_examples
from .stage import has_gpu, model_folder

if TYPE_CHECKING:
    from .rendering import Example


def score(
    model: str, data: str | Path, *, max_completion: int = 3072, batch: int = 16, limit: int | None = None
) -> dict[str, float]:
    """The means of the reward and each of its parts over the examples of a file, and `examples`, their number.

    `max_completion`: most new tokens of an answer; `batch`: prompts at a time. In float32 on a CPU, in bfloat16 on a
    GPU.
    """
    from .rewards import RewardParts, reward_parts

    tokenizer = load_tokenizer(model)
    encoder, examples = Encoder(tokenizer), read_examples(data)[:limit]
    texts = _greedy(model, tokenizer, encoder, examples, max_completion, batch)
    parts = [
        reward_parts(
            text, label=example.label, initial_list=example.initial_list, relevant=example.relevant,
            opened=encoder.opened,
        )
        for text, example in zip(texts, examples, strict=True)
    ]  # fmt: skip
    means = {
        item.name: sum(getattr(part, item.name) for part in parts) / len(parts)
        for item in fields(RewardParts)
    }
    return {"examples": len(parts), **means}


def _greedy(
    model: str, tokenizer: Any, encoder: Encoder, examples: list[Example], max_completion: int, batch: int
) -> list[str]:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    device, dtype = ("cuda", torch.bfloat16) if has_gpu() else ("cpu", torch.float32)
    network = AutoModelForCausalLM.from_pretrained(
        str(model_folder(model)), dtype=dtype, trust_remote_code=False, local_files_only=True
    )
    network.to(device).eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else encoder.end
    texts: list[str] = []
    for start in range(0, len(examples), batch):
        prompts = [encoder.prompt(e.prompt_messages) for e in examples[start : start + batch]]
        longest = max(map(len, prompts))
        ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        with torch.inference_mode():
            out = network.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=max_completion, do_sample=False,
                eos_token_id=encoder.end, pad_token_id=pad,
            )  # fmt: skip
        texts += tokenizer.batch_decode(
            _until(out[:, longest:].tolist(), encoder.end), skip_special_tokens=True
        )
    return texts


def _until(rows: list[list[int]], end: int) -> list[list[int]]:
    return [row[: row.index(end)] if end in row else row for row in rows]
