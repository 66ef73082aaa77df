"""Finish reasons of servers and SDKs: an allow-list of those that mean a whole answer or one cut by its budget."""

from __future__ import annotations

import re
from typing import Any

COMPLETE = {
    "stop", "eos", "eostoken", "eosfound", "endoftext", "endofsequence", "endid", "endturn", "stopsequence",
    "stopsequencereached", "stopstringfound", "stoptoken", "stopwords", "stopcriteriamet", "complete", "completed",
    "finish", "finished", "normal",
}  # fmt: skip
"""Reasons, as letters only, of a model that ended its answer itself: OpenAI, vLLM, SGLang, llama.cpp, TGI,
TensorRT-LLM, LM Studio, Together, Anthropic, Gemini, Cohere, AI21, Bedrock, Qianfan."""
LENGTH = {
    "length", "limit", "maxtokens", "maxnewtokens", "maxoutputtokens", "maxcompletiontokens", "maximumtokens",
    "maxlength", "modellength", "tokenlimit", "tokenlimitreached", "modelcontextwindowexceeded",
    "maxpredictedtokensreached", "contextlengthreached",
}  # fmt: skip
"""Reasons of an answer that was cut off by its budget or the context."""
FILTERED = {
    "contentfilter", "contentfiltered", "safety", "sensitive", "refusal", "blocklist", "prohibitedcontent",
    "recitation", "spii", "errortoxic", "guardrailintervened", "modelarmor",
}  # fmt: skip
"""Reasons with which the same request would end again."""
_UNSENT = {"", "null", "none"}


def as_sent(reason: Any) -> str | None:
    """A finish reason as text, None where none was sent; an object (SGLang's own API) is named by its `type`."""
    if isinstance(reason, dict):
        reason = reason.get("type") or str(reason)
    text = "" if reason is None else str(reason).strip()
    return None if text.lower() in _UNSENT else text


def meaning(reason: str | None) -> str:
    """`stop`, `length`, `filtered`, or `early` for a reason that is not known; None counts as stop."""
    if reason is None:
        return "stop"
    letters = re.sub("[^a-z]", "", reason.lower()).removeprefix("finishreason")
    known = (("stop", COMPLETE), ("length", LENGTH), ("filtered", FILTERED))
    return next((name for name, reasons in known if letters in reasons), "early")
