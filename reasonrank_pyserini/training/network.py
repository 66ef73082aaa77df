"""A small untrained network: its tokenizer learnt from the data, its weights drawn so that it learns in minutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

END, PAD, START = "<|im_end|>", "<|endoftext|>", "<|im_start|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""How Qwen2 splits text before merging pairs; transformers expects it of every Qwen2 model."""


@dataclass(frozen=True, slots=True)
class Network:
    """A Qwen2 network to train from scratch, with a key-value head for every head.

    `matching` and `copying` scale additions to the drawn weights: `matching` of a random projection that queries and
    keys share, so that a token attends to equal tokens; `copying` of a rotation in the values that the output
    projection reverses, so that a token repeats what it attends to (after
    "mimetic initialization", Trockman and Kolter, arXiv 2305.09828).
    """

    vocabulary: int = 3000
    """Most tokens; less data gives fewer."""
    layers: int = 3
    width: int = 128
    intermediate: int = 256
    heads: int = 4
    context: int = 4096
    rope_base: float = 1000.0
    embedding_std: float = 0.1
    weight_std: float = 0.04
    matching: float = 0.8
    copying: float = 0.5


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer in Qwen2's shape with its chat tokens; the same for the same texts."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, START, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, chat_template=CHAT_TEMPLATE
    )


def write_network(network: Network, tokenizer: Any, folder: Path, seed: int) -> None:
    """The untrained model with its tokenizer, in float32; the same weights for the same seed."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=network.width, intermediate_size=network.intermediate,
        num_hidden_layers=network.layers, num_attention_heads=network.heads, num_key_value_heads=network.heads,
        max_position_embeddings=network.context, initializer_range=network.weight_std, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": network.rope_base}, bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, dtype="float32",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
        with torch.no_grad():
            model.model.embed_tokens.weight.normal_(0.0, network.embedding_std)
            for layer in model.model.layers:
                _prepare(layer.self_attn, network)
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def _prepare(attention: Any, network: Network) -> None:
    """Make every head of a layer match equal tokens and repeat the tokens that it attends to."""
    import torch

    width = network.width
    shared = torch.randn(width, width) * (network.matching / width**0.5)
    rotation = torch.linalg.qr(torch.randn(width, width)).Q * network.copying
    attention.q_proj.weight += shared
    attention.k_proj.weight += shared
    attention.v_proj.weight += rotation
    attention.o_proj.weight += rotation.T
