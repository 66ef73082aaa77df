"""Which tokenizers allow pieces of a text to be encoded separately."""

from __future__ import annotations

import json
import re
from typing import Any

_NORMALIZERS = {"NFC", "NFD", "NFKC", "NFKD"}
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the tokenizers of Qwen2, Qwen2.5 and Qwen3 split a text into words."""
_LOOKS_AROUND = re.compile(r"\(\?<|\\[AbBGzZK]|(?<!\\)[$^]|\(\?=|\(\?!(?!\\S\))")


def splits_locally(tokenizer: Any) -> bool:
    """Whether a `tokenizers.Tokenizer` is byte-level BPE whose word splitting looks ahead for white space only.

    Then the end of a word does not depend on what precedes the word, and only on the next character after it.
    """
    model = tokenizer.model
    plain_bpe = type(model).__name__ == "BPE" and not any(
        getattr(model, option, None)
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
    )
    steps = _steps(tokenizer.pre_tokenizer, "pretokenizers")
    return (
        plain_bpe
        and all(step["type"] in _NORMALIZERS for step in _steps(tokenizer.normalizer, "normalizers"))
        and any(step["type"] == "ByteLevel" for step in steps)
        and all(_is_local(step) for step in steps)
    )


def splits_with(tokenizer: Any, pattern: str) -> bool:
    """Whether a `tokenizers.Tokenizer` is byte-level BPE over NFC that splits words with this pattern alone."""
    split, *others = _steps(tokenizer.pre_tokenizer, "pretokenizers") or [{"type": ""}]
    return (
        splits_locally(tokenizer)
        and all(step["type"] == "NFC" for step in _steps(tokenizer.normalizer, "normalizers"))
        and (split["type"], split.get("behavior")) == ("Split", "Isolated")
        and split["pattern"].get("Regex") == pattern
        and [(step["type"], step.get("use_regex")) for step in others] == [("ByteLevel", False)]
    )


def _steps(component: Any, key: str) -> list[dict[str, Any]]:
    return [] if component is None else _flat(json.loads(component.__getstate__()), key)


def _flat(step: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [inner for part in step[key] for inner in _flat(part, key)] if key in step else [step]


def _is_local(step: dict[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return not step["add_prefix_space"]
    if step["type"] == "Split":
        pattern = step["pattern"].get("Regex", "^").replace("[^", "[")
        kept = step["behavior"] == "Isolated" or (step["behavior"] == "Removed" and step["invert"])
        return kept and _LOOKS_AROUND.search(pattern) is None
    return bool(step["type"] == "Digits")
