"""More small models for the engine tests: other architectures, and one whose every token is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tiny

VOCABULARY = 512


def build_architecture(folder: Path, name: str) -> Path:
    """A two-layer random-weight model of that architecture, and the tiny tokenizer."""
    import torch
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 512, "bos_token_id": None, "eos_token_id": 2,
        "pad_token_id": 0,
    }  # fmt: skip
    extra: dict[str, dict[str, Any]] = {
        "Mistral": {"num_key_value_heads": 2, "sliding_window": 16},
        "Qwen3": {"num_key_value_heads": 2, "head_dim": 8},
        "Gemma2": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16},
        "Mamba": {},
    }
    tiny.build_tokenizer(folder)
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**sizes, **extra[name])
    getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    return folder


def build_chain(folder: Path, follows: Mapping[str, str], *, added: tuple[str, ...] = ()) -> Path:
    """A Qwen2 that after each token of `follows` says the token that it maps to; `added` join the tokenizer.

    Its layers add nothing, so the state is the last token's embedding, and the head looks up its successor.
    """
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tiny.build_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(added))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, bos_token_id=None, pad_token_id=0,
        eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        rows = torch.nn.functional.normalize(torch.randn(len(tokenizer), 128), dim=-1)
        model.model.embed_tokens.weight.copy_(rows)
        model.lm_head.weight.zero_()
        for before, after in follows.items():
            first, second = (tokenizer.convert_tokens_to_ids(token) for token in (before, after))
            model.lm_head.weight[second] += rows[first]
    model.save_pretrained(folder)
    return folder
