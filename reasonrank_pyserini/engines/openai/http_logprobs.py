"""The log-probabilities in an answer of a server, of which the last token's position counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PREFIX = "token_id:"
"""How vLLM names a token when ids are requested (`return_tokens_as_token_ids`)."""


def last_position(logprobs: Any) -> dict[str, float]:
    """The last position's log-probabilities by token, as completions or chat servers send them."""
    if not isinstance(logprobs, dict):
        return {}
    content, top = _last(logprobs.get("content")), _last(logprobs.get("top_logprobs"))
    listed = content.get("top_logprobs")
    items = [*(listed if isinstance(listed, list) else []), content]
    chat = {item.get("token"): item.get("logprob") for item in items if isinstance(item, dict)}
    return {
        name: float(value)
        for name, value in (top or chat).items()
        if isinstance(name, str) and isinstance(value, int | float) and not isinstance(value, bool)
    }


def by_token_id(logprobs: Mapping[str, float]) -> dict[int, float] | None:
    """The log-probabilities by token id; None where the server names tokens otherwise."""
    ids = {name.removeprefix(_PREFIX): value for name, value in logprobs.items() if name.startswith(_PREFIX)}
    return {int(id): value for id, value in ids.items() if id.isdecimal()} or None


def _last(value: Any) -> dict[Any, Any]:
    """The record at the end of a list; empty for anything else."""
    found = value[-1] if isinstance(value, list) and value else None
    return found if isinstance(found, dict) else {}
