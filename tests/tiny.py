"""Small random-weight models of real architectures: they show that the machinery works, nothing about quality."""

from __future__ import annotations

from pathlib import Path

from reasonrank_pyserini.training.network import CHAT_TEMPLATE, learn_tokenizer

CORPUS = (
    "Rank the passages based on their relevance to the search query, in descending order.",
    "You are RankLLM, an intelligent assistant that can rank passages based on their relevance to the query.",
    "<think> reasoning process here </think> <answer> [2] > [1] > [3] </answer>",
    "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 [1] > [2] > [3]",
)


def build_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """A byte-level BPE tokenizer shaped as Qwen2's, with chat control tokens, written to `folder`."""
    tokenizer = learn_tokenizer(CORPUS, 600)
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    return folder


def build_model(folder: Path, *, context: int = 16384, seed: int = 2) -> Path:
    """A two-layer Qwen2 with random weights and the tokenizer above, written to `folder`.

    Tokens of identifiers and the one that ends the text are made likelier, so that some answers can be read.
    """
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    build_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # heads of 32: vLLM's CPU attention takes no smaller ones
        num_key_value_heads=1,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        torch_dtype="float32",
    )
    model = Qwen2ForCausalLM(config)
    favoured = [
        id for token, id in tokenizer.get_vocab().items() if any(c.isdigit() or c in "[]>" for c in token)
    ]
    with torch.no_grad():
        model.lm_head.weight[[*favoured, tokenizer.eos_token_id]] *= 4
    model.save_pretrained(folder)
    return folder
