"""What a failed call means: whether to retry it, and a line for the user."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import one_line
from ...files.web_environment import Proxy
from .http_options import Options
from .http_stream import AnswerReader, BrokenAnswerError, error_code, error_text

if TYPE_CHECKING:
    import openai

CONTEXT_WORDS = (
    "context length", "context_length", "context window", "context size", "max_model_len",
    "maximum model length", "too many tokens", "prompt is too long", "prompt too long", "input is too long",
    "longer than the maximum",
)  # fmt: skip
BALANCE_WORDS = (
    "insufficient_quota", "insufficient balance", "insufficient_balance", "insufficient_user_quota",
    "exceeded_current_quota", "credit balance is too low", "arrearage", "payment required",
)  # fmt: skip
"""Words with which providers report an exhausted balance without HTTP 402."""
SYSTEM_ROLE = re.compile(r"system (role|message|prompt)s? (is |are )?(not (supported|allowed)|unsupported)|"
                         r"(does not|doesn't) support (a |the )?system|only user and assistant roles")  # fmt: skip
REFUSAL_WORDS = (
    "unsupported", "not supported", "does not support", "unrecognized", "unknown", "unexpected",
    "not permitted", "not allowed", "additional propert", "extra_forbidden", "extra inputs", "invalid field",
    "no such field",
)  # fmt: skip
FILTERED = {
    "content_filter", "content_filtered", "safety", "sensitive", "refusal", "blocklist", "prohibited_content",
    "recitation", "spii", "error_toxic", "guardrail_intervened",
}  # fmt: skip
"""Finish reasons, in lower case, with which the same request would end again."""
EXTRA_FIELDS = (
    "top_k", "min_p", "repetition_penalty", "skip_special_tokens", "add_special_tokens", "stream_interval",
    "add_generation_prompt", "continue_final_message",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    Failures are counted by `kind`; `fatal`: no other call can succeed; `unreachable`: no server answered at the
    address; `outage`: the server's fault, not the request's; `crowded`: the server wants fewer requests; `wait`:
    seconds to wait by Retry-After.
    """

    kind: str
    message: str
    retry: bool = True
    fatal: bool = False
    unreachable: bool = False
    outage: bool = False
    crowded: bool = False
    wait: float | None = None
    status: int | None = None


class FailedCall(Exception):
    """Carries a Failure out of an attempt."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def server_text(error: BaseException | str, secret: str | None = None) -> str:
    """A server's message as one short line, with the API key masked."""
    return one_line(str(error).replace(secret, "***") if secret else error)


def from_status(error: openai.APIStatusError, options: Options, sent: Iterable[str]) -> Failure:
    """The failure for an HTTP status."""
    body, response = error.body, error.response
    if isinstance(body, str | None):
        plain = "html" not in response.headers.get("content-type", "")
        text = response.text if plain else ""
    else:
        text = error_text(body)
    headers = response.headers
    return judge_status(error.status_code, text, error_code(body), options, sent, headers)


def from_broken(error: BrokenAnswerError, options: Options, sent: Iterable[str]) -> Failure:
    """The failure for HTTP 200 with an error or an incomplete answer inside."""
    if error.code == "no_answer":
        return Failure("no answer", server_text(error, options.key))
    if error.status is not None or error.code:
        return judge_status(error.status or 500, str(error), error.code, options, sent, {}, inside=True)
    return Failure("broken answer", server_text(error, options.key), outage=True)


def finish(reader: AnswerReader, options: Options, sent: Iterable[str]) -> None:
    """Close a reader at the end of the body; FailedCall when the answer is not complete."""
    try:
        reader.close()
    except BrokenAnswerError as error:
        if reader.ended in FILTERED:
            filtered = (
                f"the server's content filter stopped the answer (finish_reason {reader.finish_reason!r})"
            )
            raise FailedCall(Failure("content filter", filtered, retry=False)) from None
        raise FailedCall(from_broken(error, options, sent)) from None


def judge_status(
    status: int,
    text: str,
    code: str,
    options: Options,
    sent: Iterable[str],
    headers: Mapping[str, str],
    *,
    inside: bool = False,
) -> Failure:
    """The failure for a status: retried for 408, 409, 429 and 5xx; any other is explained to the user."""
    said = server_text(text, options.key)
    kind = f"HTTP {status}"
    message = f"{kind}{' inside an answer' if inside else ''}{said and f': {said}'}"
    if status == 402 or any(words in f"{text} {code}".lower() for words in BALANCE_WORDS):
        advice = f"no quota left, or no balance, for the key in {options.api_key_env}"
        return Failure(kind, f"{message} ({advice})", retry=False, fatal=True, status=status)
    if status in (408, 409, 429) or status >= 500:
        wait = retry_after(headers)
        if wait is not None and wait > options.max_wait:
            advice = f"the server asks to wait {wait:.0f} s, more than max_wait={options.max_wait:g}"
            return Failure(kind, f"{message} ({advice})", retry=False, status=status)
        outage, crowded = status >= 500, status == 429
        return Failure(kind, message, outage=outage, crowded=crowded, wait=wait, status=status)
    if status in (401, 403):
        state = "is not accepted" if options.key else "is not set"
        advice = f"the API key of the environment variable {options.api_key_env} {state}"
        return Failure(kind, f"{message} ({advice})", retry=False, fatal=True, status=status)
    hint, fatal = _advice(text, code, sent)
    return Failure(kind, f"{message}{hint}", retry=False, fatal=fatal, status=status)


def _advice(text: str, code: str, sent: Iterable[str]) -> tuple[str, bool]:
    """What to type next after a rejected request, and whether every request would be rejected."""
    lower = f"{text} {code}".lower()
    if any(words in lower for words in CONTEXT_WORDS):
        return (
            " (prompt and answer do not fit the server's context: fewer `passage_tokens` or "
            "`reasoning_tokens`, a smaller `window`, or a server with a larger context)"
        ), False
    if SYSTEM_ROLE.search(lower):
        return (
            " (the model's chat template takes no system message: give that model's `tokenizer`, and "
            "the system text goes into the user's message)"
        ), True
    named = [name for name in sent if re.search(rf"(?<![a-z_]){re.escape(name)}(?![a-z_])", lower)]
    if named == ["prompt"]:
        return " (if this server takes no token ids as prompt, use `api` chat)", False
    named = [name for name in named if name not in ("prompt", "messages")]
    if not named or not any(words in lower for words in REFUSAL_WORDS):
        return "", False
    if "max_tokens" in named and "max_completion_tokens" in lower:
        return " (try `engine_args` max_tokens_field=max_completion_tokens)", True
    if any(name in EXTRA_FIELDS for name in named):
        return (
            f" (the server does not know {', '.join(named)}: `engine_args` send_extra=false sends only "
            "OpenAI's own fields, and the server's defaults apply to the rest)"
        ), True
    return (
        f" (leave it out with `engine_args` omit={','.join(named)}; the server's default then applies)",
        True,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `retry-after` (seconds or a date); None without them."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return min(max(0.0, float(headers.get(name, "")) * scale), 1e9)
        except ValueError:
            continue
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


class RedirectedError(Exception):
    """A redirect that a POST cannot follow, since it would become a GET."""

    def __init__(self, status: int, location: str) -> None:
        self.status, self.location = status, location
        super().__init__(f"HTTP {status} to {location}")


def through_proxy(failure: Failure, proxy: Proxy | None) -> Failure:
    """The failure, naming the proxy that the request went through if that may be the cause."""
    refused = failure.status in (403, 407) or (failure.status or 0) in (502, 503, 504)
    if proxy is None or not (refused or failure.outage or failure.kind == "TLS"):
        return failure
    message = failure.message.partition(" (the API key")[0] if refused else failure.message
    advice = f"through the proxy {proxy.address} of {proxy.variable}; NO_PROXY=HOST leaves it out"
    return replace(failure, message=f"{message} ({advice})")


def from_connection(error: BaseException, url: str) -> Failure:
    """The failure for a connection that could not be made or that broke."""
    import httpx

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, RedirectedError):
            base = one_line(re.sub(r"/(chat/)?completions/?$", "", cause.location), limit=200)
            moved = f"HTTP {cause.status}: moved to {base or 'an address that it does not name'}"
            return Failure(
                "redirect",
                f"{moved} (such a redirect drops the request's body: use that address)",
                False,
                True,
            )
    texts = [str(cause) for cause in reversed(causes) if str(cause)]
    said = one_line(texts[0] if texts else type(error).__name__, limit=160)
    if any(word in said for word in ("CERTIFICATE", "WRONG_VERSION_NUMBER", "SSL")):
        return Failure("TLS", f"no secure connection to {url}: {said} (http instead of https?)", False, True)
    if any(isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout) for cause in causes):
        return Failure(
            "unreachable",
            f"no server answers at {url} (is it running there?): {said}",
            unreachable=True,
            outage=True,
        )
    return Failure("connection", f"the connection to {url} broke: {said}", outage=True)
