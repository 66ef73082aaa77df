"""What a failed call means: whether to retry it, and a line for the user."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...errors import one_line
from ...files.web_environment import Proxy
from .http_error_body import BrokenAnswerError, error_code, error_text, page_title
from .http_options import Options
from .http_refusals import advice, is_too_long, is_unknown_model, is_unpaid
from .http_stream import AnswerReader
from .http_waiting import retry_after

if TYPE_CHECKING:
    import openai

RETRIED = (408, 409, 421, 423, 424, 425, 429, 449, 498, 499)
"""Statuses below 500 that may pass: besides the usual ones those of TGI (424), Groq (498) and nginx (499)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    Failures are counted by `kind`; `fatal`: no other call can succeed; `unreachable`: no server answered at the
    address; `outage`: the server's fault, not the request's; `ours`: this process's fault, not the server's, so that
    it does not count as an attempt; `crowded`: the server wants fewer requests; `missing`: it has no such page or
    model; `wait`: seconds that it asks to wait.
    """

    kind: str
    message: str
    retry: bool = True
    fatal: bool = False
    unreachable: bool = False
    outage: bool = False
    ours: bool = False
    crowded: bool = False
    missing: bool = False
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
    raw = body if isinstance(body, str) else response.text if body is None else ""
    title = page_title(raw)
    text = error_text(body) if not isinstance(body, str | None) else raw
    if title is not None:
        text = title.removeprefix(str(error.status_code)).strip(" -:|")
    failure = judge_status(error.status_code, text, error_code(body), options, sent, response.headers)
    if error.status_code not in (401, 403):
        return failure
    if title is not None:
        by = one_line(response.headers.get("server", "a gateway"), limit=60)
        hint = f"a web page of {by}, not of the API: is the address right, and may this machine use it?"
    elif response.history:
        hint = f"redirected to {response.url.copy_with(path='/')}, which gets no key: use that address"
    else:
        return failure
    return replace(failure, message=f"{failure.message.partition(' (the API key')[0]} ({hint})")


def from_broken(error: BrokenAnswerError, options: Options, sent: Iterable[str]) -> Failure:
    """The failure for HTTP 200 with an error or an incomplete answer inside."""
    said = server_text(error, options.key)
    if error.code == "no_answer":
        return Failure("no answer", said)
    if error.code == "filtered":
        return Failure("content filter", said, retry=False)
    if error.code == "early":  # counted by the server's own reason
        return Failure(one_line(said.rpartition(": ")[2], limit=60), said, outage=True)
    if error.code == "endless":
        return Failure(
            "endless answer", f"{said} (`engine_args` max_tokens_field names the field)", retry=False
        )
    if error.status is not None or error.code or is_unpaid(said.lower()):
        return judge_status(error.status or 500, str(error), error.code, options, sent, {}, inside=True)
    return Failure("broken answer", said, outage=True)


def finish(reader: AnswerReader, options: Options, sent: Iterable[str]) -> None:
    """Close a reader at the end of the body; FailedCall when the answer is not complete."""
    try:
        reader.close()
    except BrokenAnswerError as error:
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
    """The failure for a status: retried for those in `RETRIED` and 5xx; any other is explained to the user."""
    said, lower = server_text(text, options.key), f"{text} {code}".lower()
    kind = f"HTTP {status}"
    message = f"{kind}{' inside an answer' if inside else ''}{said and f': {said}'}"
    if status == 402 or is_unpaid(lower):
        hint = f"no quota left, or no balance, for the key in {options.api_key_env}"
        return Failure(kind, f"{message} ({hint})", retry=False, fatal=True, status=status)
    too_long = status != 429 and is_too_long(lower)  # some servers report it as their own error
    if (status in RETRIED or status >= 500) and not too_long:
        wait = retry_after(headers, text)
        if wait is not None and wait > options.max_wait:
            hint = f"the server asks to wait {wait:.0f} s, more than max_wait={options.max_wait:g}"
            return Failure(kind, f"{message} ({hint})", retry=False, status=status)
        outage, crowded = status >= 500, status == 429
        return Failure(kind, message, outage=outage, crowded=crowded, wait=wait, status=status)
    if status in (401, 403):
        state = "is not accepted" if options.key else "is not set"
        hint = f"the API key of the environment variable {options.api_key_env} {state}"
        return Failure(kind, f"{message} ({hint})", retry=False, fatal=True, status=status)
    if is_unknown_model(lower):
        return Failure(kind, message, retry=False, fatal=True, missing=True, status=status)
    words = "request entity too large" if status == 413 else lower
    if 300 <= status < 400:
        words, message = "", f"{message} (a redirect that names no address: is `base_urls` right?)"
    hint, fatal = advice(words, sent)
    missing = status in (404, 405, 410)
    return Failure(
        kind, f"{message}{hint}", retry=False, fatal=fatal or missing, missing=missing, status=status
    )


class RedirectedError(Exception):
    """A redirect that a POST cannot follow, since it would become a GET."""

    def __init__(self, status: int, location: str) -> None:
        self.status, self.location = status, location
        super().__init__(f"HTTP {status} to {location}")


def through_proxy(failure: Failure, proxy: Proxy | None) -> Failure:
    """The failure, naming the proxy that the request went through if that may be the cause."""
    refused = failure.status in (403, 404, 405, 407, 501, 502, 503, 504, 511)
    if proxy is None or not (refused or failure.outage or failure.kind == "TLS"):
        return failure
    message = failure.message.partition(" (the API key")[0] if refused else failure.message
    way = f"through the proxy {proxy.address} of {proxy.variable}; NO_PROXY=HOST leaves it out"
    return replace(failure, message=f"{message} ({way})")


def from_connection(error: BaseException, url: str, options: Options, *, late: float = 0.0) -> Failure:
    """The failure for a connection that could not be made or that broke.

    `late`: for how many seconds of the attempt this process was too busy to notice what the server did.
    """
    import httpx

    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(cause)
    if (redirect := _redirect(causes, url)) is not None:
        return redirect
    if any(isinstance(cause, httpx.ConnectTimeout) for cause in causes):
        within = f"within {options.connect_timeout:g} s (connect_timeout)"
        if late >= options.connect_timeout / 2:
            return Failure("busy", f"this process was too busy to connect to {url} {within}", ours=True)
        return Failure(
            "unreachable",
            f"no server answers at {url} {within}: is it running there?",
            unreachable=True,
            outage=True,
        )
    texts = [
        str(cause)
        for cause in reversed(causes)
        if str(cause) and not isinstance(cause, asyncio.CancelledError)
    ]
    said = one_line(texts[0] if texts else type(error).__name__, limit=160)
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in said:
        return Failure("TLS", f"no secure connection to {url}: {said} ({_tls_advice(said)})", False, True)
    if any(isinstance(cause, httpx.ConnectError) for cause in causes):
        return Failure(
            "unreachable",
            f"no server answers at {url} (is it running there?): {said}",
            unreachable=True,
            outage=True,
        )
    hint = ""
    if "illegal request line" in said and url.startswith("http:"):
        hint = " (https instead of http?)"
    elif "illegal status line" in said:
        hint = " (not an HTTP server: is `base_urls` right?)"
    return Failure("connection", f"the connection to {url} broke: {said}{hint}", outage=True)


def _redirect(causes: Iterable[BaseException], url: str) -> Failure | None:
    """The failure for a redirect that cannot be followed, None where no cause is one."""
    import httpx

    for cause in causes:
        if isinstance(cause, RedirectedError):
            base = one_line(re.sub(r"/(chat/)?completions/?$", "", cause.location), limit=200)
            said = f"HTTP {cause.status}: moved to {base or 'an address that it does not name'}"
            said += " (such a redirect drops the request's body: use that address)"
        elif isinstance(cause, httpx.TooManyRedirects):
            said = f"{url} redirects in a circle (is the address right?)"
        elif isinstance(cause, httpx.UnsupportedProtocol):
            said = (
                f"{url} redirects to an address that is not http or https: {one_line(str(cause), limit=160)}"
            )
        else:
            continue
        return Failure("redirect", said, retry=False, fatal=True)
    return None


def _tls_advice(said: str) -> str:
    """What may be wrong with a secure connection."""
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return "http instead of https?"
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    if names:
        return f"only the certificates of the environment variable {names[0]} are trusted: correct it or unset it"
    return "set SSL_CERT_FILE to the file with the certificate of the authority that signed the server's"
