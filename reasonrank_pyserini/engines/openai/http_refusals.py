"""What servers refuse, by the words of many: a prompt too long, no balance, no such model or field, no system role."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONTEXT_WORDS = (
    "context length", "context_length", "context window", "context_window", "context size", "context limit",
    "context shift", "exceed_context", "max_model_len", "maximum model length", "model token limit",
    "too many tokens", "too many input tokens", "prompt is too long", "prompt too long", "input is too long",
    "longer than the maximum", "maximum allowed length", "maximum input length", "maximum number of tokens",
    "input length should be", "tokens + `max_new_tokens` must be", "`inputs` must have less than",
    "too large to process", "reduce the length", "request entity too large", "request too large", "payload too large",
)  # fmt: skip
BALANCE_WORDS = (
    "insufficient_quota", "insufficient balance", "insufficient_balance", "insufficientbalance",
    "insufficient_user_quota", "insufficient credit", "insufficient_credit", "insufficient fund",
    "insufficient_fund", "balance is insufficient", "not enough credit", "out of credit",
    "exceeded_current_quota", "used all available credits", "credit balance is too low", "spending limit",
    "billing_hard_limit", "billing hard limit", "account is in arrears", "arrearage", "payment required", "余额不足",
)  # fmt: skip
"""Words with which providers report an exhausted balance without HTTP 402."""
SYSTEM_ROLE = re.compile(
    r"system['\"`]?[ _](role|message|prompt|instruction)s? (is |are )?(not (supported|allowed|enabled)|unsupported)|"
    r"(does not|doesn't|not) support (a |the )?['\"`]?system|developer instruction is not enabled|"
    r"unexpected role ['\"`]?system|role ['\"`:]*\s?['\"`]?system['\"`]? (is |are )?(not |invalid|unsupported)|"
    r"input tag 'system'|only user and assistant roles"
)
REFUSAL_WORDS = (
    "unsupported", "not supported", "does not support", "unrecognized", "unknown", "unexpected", "not permitted",
    "not allowed", "additional propert", "extra_forbidden", "extra inputs", "invalid field", "no such field",
    "cannot both", "cannot find field", "not implemented", "deprecated",
)  # fmt: skip
EXTRA_FIELDS = (
    "top_k", "min_p", "repetition_penalty", "skip_special_tokens", "add_special_tokens", "stream_interval",
    "add_generation_prompt", "continue_final_message",
)  # fmt: skip
_NO_MODEL = re.compile(
    r"model[ _]?not[ _]?(exist|found)|no such model|unknown model|invalid model|not a valid model|"
    r"model\b.{0,200}\b(does not exist|not exist|not found|is not available)"
)
_OUTPUT = re.compile(
    r"(max_tokens|max_completion_tokens|max_new_tokens)\b.{0,120}?(too large|valid range|range of|should be|must be|"
    r"less than or equal|maximum allowed|at most)|range of max_tokens"
)
_FIT = (
    " (prompt and answer do not fit the server's context: fewer `passage_tokens` or `reasoning_tokens`, a smaller "
    "`window`, or a server with a larger context)"
)


def is_too_long(text: str) -> bool:
    """Whether a refusal, in lower case, says that prompt and answer exceed the context."""
    return any(words in text for words in CONTEXT_WORDS)


def is_unpaid(text: str) -> bool:
    """Whether a refusal, in lower case, says that the account has no balance or quota left."""
    return any(words in text for words in BALANCE_WORDS)


def is_unknown_model(text: str) -> bool:
    """Whether a refusal, in lower case, says that the server does not have the model."""
    return _NO_MODEL.search(text[:2000]) is not None


def advice(text: str, sent: Iterable[str]) -> tuple[str, bool]:
    """What to type next after a rejected request (its text in lower case), and whether every request would be."""
    named = [name for name in sent if re.search(rf"(?<![a-z_]){re.escape(name)}(?![a-z_])", text)]
    refused = any(words in text for words in REFUSAL_WORDS)
    if "max_tokens" in named and "max_completion_tokens" in text and refused:
        return " (try `engine_args` max_tokens_field=max_completion_tokens)", True
    if is_too_long(text):
        return _FIT, False
    if _OUTPUT.search(text[:2000]):
        return " (the server allows fewer new tokens a request: fewer `reasoning_tokens`)", True
    if SYSTEM_ROLE.search(text):
        return (
            " (the model's chat template takes no system message: give that model's `tokenizer`, and "
            "the system text goes into the user's message)"
        ), True
    if named == ["prompt"]:
        return " (if this server takes no token ids as prompt, use `api` chat)", False
    named = [name for name in named if name not in ("prompt", "messages")]
    if not named or not refused:
        return "", False
    if any(name in EXTRA_FIELDS for name in named):
        return (
            f" (the server does not know {', '.join(named)}: `engine_args` send_extra=false sends only "
            "OpenAI's own fields, and the server's defaults apply to the rest)"
        ), True
    return (
        f" (leave it out with `engine_args` omit={','.join(named)}; the server's default then applies)",
        True,
    )
