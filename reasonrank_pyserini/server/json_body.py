"""The body of a request, read up to a limit and parsed as a JSON object."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .refusal import ClientGoneError, Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""ASGI's `receive`."""
BODY_SECONDS = 30.0
"""How long a body may take to arrive."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)


async def read_object(receive: Receive, content_type: str, limit: int) -> dict[str, Any]:
    """The request's JSON object. Raises Refusal (400, 408, 413, 415) and ClientGoneError."""
    if not _JSON.fullmatch(content_type.strip()):
        raise Refusal(415, "the body must be JSON: send it with the header Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(receive, limit)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {BODY_SECONDS:.0f} seconds") from None
    return parse_object(body)


async def _read(receive: Receive, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        part = event.get("body", b"")
        size += len(part)
        if size > limit:
            raise Refusal(413, f"the body is longer than {limit} bytes, the limit of this server")
        parts.append(part)
        more = event.get("more_body", False)
    return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; Refusal for anything else, and for texts that UTF-8 cannot represent.

    If a key is repeated, its last value counts.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8") from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Refusal(
            400, f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        ) from None
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {str(error).partition(';')[0]}") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is not a JSON object")
    if _SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _check_surrogates(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(400, "a text contains half of a surrogate pair (\\ud800 to \\udfff)") from None
    except RecursionError:
        raise Refusal(400, "the body is nested too deeply") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not valid JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number
