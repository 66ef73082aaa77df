"""What the body of an error says, in any of the forms that servers, gateways and proxies use."""

from __future__ import annotations

import html
import json
import re
from typing import Any

MESSAGE_FIELDS = (
    "message", "detail", "error", "msg", "errors", "error_message", "error_msg", "errorMessage", "status_msg",
    "base_resp", "title", "type", "code",
)  # fmt: skip
STATUS_FIELDS = ("code", "status", "status_code", "statusCode", "http_code")
_TOO_DEEP = "an error nested too deeply to be read"
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1", re.IGNORECASE | re.DOTALL)


class BrokenAnswerError(Exception):
    """The body is not a complete answer.

    `status` is the HTTP status of an error inside it, `code` the error's symbolic code or, for a
    failure that is not an error of the server, `filtered`, `early`, `no_answer` or `endless`.
    """

    def __init__(self, message: str, status: int | None = None, *, code: str = "") -> None:
        self.status, self.code = status, code
        super().__init__(message)


def reported(error: Any) -> BrokenAnswerError:
    """The exception for an error object inside an answer."""
    return BrokenAnswerError(error_text(error), error_status(error), code=error_code(error))


def error_text(error: Any, levels: int = 20) -> str:
    """The message of an API error in any of its usual forms, at most `levels` objects deep."""
    if isinstance(error, dict | list) and levels == 0:
        return _TOO_DEEP
    if isinstance(error, dict):
        if isinstance(error.get("loc"), list) and error.get("msg"):
            place = ".".join(error_text(part, levels - 1) for part in error["loc"][:20])
            return f"{place}: {error_text(error['msg'], levels - 1)}"
        for name in MESSAGE_FIELDS:
            if found := error.get(name):
                return error_text(found, levels - 1)
        try:
            return json.dumps(error)
        except RecursionError:
            return _TOO_DEEP
    if isinstance(error, list):
        return "; ".join(error_text(item, levels - 1) for item in error[:3])
    return str(error)


def error_status(error: Any) -> int | None:
    """The HTTP status in an error object; None when there is none."""
    for name in STATUS_FIELDS:
        value = error.get(name) if isinstance(error, dict) else None
        number = int(value) if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value) else value
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    return None


def error_code(error: Any) -> str:
    """The symbolic code of an error object (`insufficient_quota`), empty if none."""
    if not isinstance(error, dict):
        return ""
    return " ".join(value for name in ("code", "type") if isinstance(value := error.get(name), str))


def page_title(page: str) -> str | None:
    """The title of an HTML page, empty where it has none; None for anything but an HTML page."""
    start = page[:20_000].lstrip("\ufeff \t\r\n")
    if not re.match(r"<(!doctype|html|head|body|h1|center|title|meta)\b", start, re.IGNORECASE):
        return None
    found = _TITLE.search(start) or _HEADING.search(start)
    return html.unescape(re.sub("<[^>]*>", " ", found[1])).strip() if found else ""
