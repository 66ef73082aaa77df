"""A prompt's exact text and ids from one call: thin fronts of PromptBuilder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..errors import InputError
from ..types import Document
from .builder import BuiltPrompt, PromptBuilder, fingerprint
from .message_style import MessageStyle
from .styles import PromptStyle, get_style


def render(
    style: PromptStyle | MessageStyle | str,
    tokenizer: Any,
    query: str,
    documents: Sequence[Document],
    *,
    passage_tokens: int | None = None,
) -> str:
    """The prompt's text, exactly as the authors' code makes it, control strings in query and passages included."""
    return _built(style, tokenizer, query, documents, passage_tokens).prompt.text


def encode(
    style: PromptStyle | MessageStyle | str,
    tokenizer: Any,
    query: str,
    documents: Sequence[Document],
    *,
    passage_tokens: int | None = None,
) -> list[int]:
    """The tokenizer's ids of `render`'s text, but with added tokens' strings in query and passages as plain text.

    All other ids are unchanged.
    """
    return list(_built(style, tokenizer, query, documents, passage_tokens).prompt.token_ids or ())


def _built(
    style: PromptStyle | MessageStyle | str,
    tokenizer: Any,
    query: str,
    documents: Sequence[Document],
    passage_tokens: int | None,
) -> BuiltPrompt:
    if tokenizer is None:
        raise InputError(
            "a prompt's text and ids need the model's tokenizer; without one use PromptBuilder, which gives messages"
        )
    chosen = get_style(style) if isinstance(style, str) else style
    builder = _builder(chosen, tokenizer, passage_tokens, fingerprint(tokenizer))
    return builder.build(query, documents, answer_tokens=0)


@lru_cache(maxsize=8)
def _builder(
    style: PromptStyle | MessageStyle, tokenizer: Any, passage_tokens: int | None, _: tuple[Any, ...]
) -> PromptBuilder:
    return PromptBuilder(style, tokenizer, passage_tokens=passage_tokens, cache_bytes=16 << 20)
