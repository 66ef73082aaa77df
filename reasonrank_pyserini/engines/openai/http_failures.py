"""What a failed call means: whether to retry it, and a line for the user."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import one_line
from .http_options import Options
from .http_stream import AnswerReader, BrokenAnswerError, error_code, error_text

if TYPE_CHECKING:
    import openai

CONTEXT_WORDS = (
    "context length", "context_length", "context window", "context size", "max_model_len",
    "maximum model length", "too many tokens", "prompt is too long", "prompt too long", "input is too long",
    "longer than the maximum",
)  # fmt: skip
REFUSAL_WORDS = (
    "unsupported", "not supported", "does not support", "unrecognized", "unknown", "unexpected",
    "not permitted", "not allowed", "additional propert", "extra_forbidden", "extra inputs", "invalid field",
    "no such field",
)  # fmt: skip
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
    if error.status is not None or error.code:
        return judge_status(error.status or 500, str(error), error.code, options, sent, {}, inside=True)
    return Failure("broken answer", server_text(error, options.key), outage=True)


def finish(reader: AnswerReader, options: Options, sent: Iterable[str]) -> None:
    """Close a reader at the end of the body; FailedCall when the answer is not complete."""
    try:
        reader.close()
    except BrokenAnswerError as error:
        raise FailedCall(from_broken(error, options, sent)) from None
    if reader.finish_reason in ("abort", "error"):
        gave_up = f"the server gave up: finish_reason {reader.finish_reason!r}"
        raise FailedCall(Failure("broken answer", gave_up, outage=True))
    if reader.finish_reason == "content_filter":
        filtered = "the server's content filter stopped the answer"
        raise FailedCall(Failure("content filter", filtered, retry=False))


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
    if status == 429 and "insufficient_quota" in code:
        return Failure(kind, f"{message} (no quota left for the key in {options.api_key_env})", False, True)
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


def from_connection(error: BaseException, url: str) -> Failure:
    """The failure for a connection that could not be made or that broke."""
    import httpx

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(cause)
    texts = [str(cause) for cause in reversed(causes) if str(cause)]
    said = one_line(texts[0] if texts else type(error).__name__, limit=160)
    if any(word in said for word in ("CERTIFICATE", "WRONG_VERSION_NUMBER", "SSL")):
        return Failure("TLS", f"no secure connection to {url}: {said} (http instead of https?)", False, True)
    if any(isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout) for cause in causes):
        return Failure("unreachable", f"no server answers at {url}: {said}", unreachable=True, outage=True)
    return Failure("connection", f"the connection to {url} broke: {said}", outage=True)
