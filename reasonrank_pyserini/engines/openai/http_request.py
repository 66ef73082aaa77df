"""The body of a completion request, and a check that the server cut neither prompt nor answer."""

from __future__ import annotations

import re
from typing import Any

from ...errors import EngineError
from ...prompts.texts import replace_lone_surrogates
from ...types import Prompt, Sampling
from .. import EngineConfig
from .http_options import Options
from .http_stream import AnswerReader

SLACK = 4
"""Tokens by which servers may differ in counting the end of an answer."""
CUT_PROMPT = (
    "the server counts %d prompt tokens, fewer than the messages have words: if it does not leave cached tokens out of "
    "the count, it cut the prompt and ranks what is left. Give it a larger context, or show less of each passage. "
    "Said once; the manifest counts such windows as cut_prompts"
)
WORDS_PER_TOKEN = 1.1
LONG_WORD = 24
"""Characters of a long word that take at least one token."""
REPEATED = 40
"""Words of a prompt that no model repeats by itself."""
LONGEST_TOKENS = 40
"""Characters per token that no answer has on average."""
CHARACTERS = 4
"""Characters per token, roughly."""


_CONTROL = re.compile(r"<[|｜][^|｜<>]{0,40}[|｜]>")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def request_body(
    config: EngineConfig, options: Options, prompt: Prompt, sampling: Sampling, *, regex: str | None = None
) -> dict[str, Any]:
    """All fields except `model` and `stream`; every sampling field is sent, so that no server default applies.

    `regex`: the answer's form, for servers known to be vLLM.
    """
    body: dict[str, Any] = _input(config, prompt) | {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        options.max_tokens_field: sampling.max_tokens,
        "stream_options": {"include_usage": True},
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.logprobs is not None:
        chat = config.api == "chat"
        body |= (
            {"logprobs": True, "top_logprobs": sampling.logprobs} if chat else {"logprobs": sampling.logprobs}
        )
    if options.send_extra:
        body |= _beyond_openai(config, options, prompt, sampling)
        if regex is not None:
            body["structured_outputs"] = {"regex": regex}
    kept = {name: value for name, value in body.items() if name not in options.omit}
    return kept | dict(options.extra_body)


def request_size(prompt: Prompt, sampling: Sampling) -> int:
    """Tokens that a request may use: its prompt (estimated by characters if it has no ids) and its answer."""
    if prompt.token_ids is not None:
        return len(prompt.token_ids) + sampling.max_tokens
    characters = len(prompt.text) or sum(
        len(text) for message in prompt.messages for text in message.values()
    )
    return characters // CHARACTERS + sampling.max_tokens


def _input(config: EngineConfig, prompt: Prompt) -> dict[str, Any]:
    if config.api == "chat":
        if not prompt.messages:
            raise EngineError("the openai engine in chat mode was given a prompt without messages")
        return {
            "messages": [
                {k: replace_lone_surrogates(v) for k, v in message.items()} for message in prompt.messages
            ]
        }
    if prompt.token_ids is None and not prompt.text:
        raise EngineError(
            "the openai engine in completions mode was given a prompt without token ids and text"
        )
    return {
        "prompt": replace_lone_surrogates(prompt.text) if prompt.token_ids is None else list(prompt.token_ids)
    }


def _beyond_openai(
    config: EngineConfig, options: Options, prompt: Prompt, sampling: Sampling
) -> dict[str, Any]:
    """The fields of vLLM and SGLang; the model's generation_config would apply to a missing one."""
    fields: dict[str, Any] = {
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": 1.0,
        "skip_special_tokens": True,
        "stream_interval": options.stream_interval,
    }
    if sampling.logprobs is not None:
        fields["return_tokens_as_token_ids"] = True
    if sampling.allowed_ids:
        fields["allowed_token_ids"] = list(sampling.allowed_ids)
    if config.api == "completions":
        fields["add_special_tokens"] = False
    elif prompt.messages[-1].get("role") == "assistant":
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    return fields


def most_characters(max_tokens: Any) -> int | None:
    """More characters than `max_tokens` tokens have; None for no limit."""
    return max_tokens * LONGEST_TOKENS + 10_000 if isinstance(max_tokens, int) else None


def least_tokens(text: str) -> float:
    """Fewer tokens than any usual tokenizer makes of a text: words, long words by length, ideographs by three."""
    words = text.split()
    long = sum(len(word) // LONG_WORD for word in words if len(word) >= 2 * LONG_WORD)
    least = (len(words) + long) / WORDS_PER_TOKEN
    return least if text.isascii() else max(least, len(_IDEOGRAPHS.findall(text)) / 3)


def prompt_was_cut(reader: AnswerReader, prompt: Prompt) -> bool:
    """Whether a chat server reports fewer prompt tokens than the messages can have (`least_tokens`).

    Some servers count only tokens that were not in their cache, so this is a reason for a warning, not proof. A word
    takes at least one token in the tokenizers of language models, except for rare joined words (`WORDS_PER_TOKEN`).
    """
    counted = reader.prompt_tokens + reader.cached_tokens
    texts = [text for message in prompt.messages for text in message.values()]
    return counted > 0 and counted < sum(map(least_tokens, texts))


def repeats_prompt(text: str, prompt: str) -> bool:
    """Whether a completion begins with the words of its prompt, control strings aside."""
    heads = [_CONTROL.sub(" ", part[:4000]).split()[:REPEATED] for part in (text, prompt)]
    return len(heads[0]) == REPEATED and heads[0] == heads[1]


def check_lengths(reader: AnswerReader, prompt: Prompt, sampling: Sampling, *, api: str) -> None:
    """EngineError when the server cut a prompt of token ids, repeats it, or cut the answer before its budget ended."""
    if api == "completions" and repeats_prompt(reader.text, prompt.text):
        raise EngineError(
            "the server repeats the prompt before its answer: turn that off there (`echo`, `return_full_text`)"
        )
    sent = len(prompt.token_ids or ()) if api == "completions" else 0
    if reader.prompt_tokens > 0 and reader.prompt_tokens + reader.cached_tokens < sent:
        raise EngineError(
            f"the server read {reader.prompt_tokens} of {sent} prompt tokens: its context is too small, "
            "or it has another tokenizer"
        )
    written = reader.completion_tokens + reader.reasoning_tokens
    if reader.ended == "length" and 0 < written < sampling.max_tokens - SLACK:
        raise EngineError(
            f"the server stopped after {written} of {sampling.max_tokens} tokens: its context or its own "
            "limit is too small (fewer `passage_tokens` or `reasoning_tokens`, or a server with more context)"
        )
