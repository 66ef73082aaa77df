"""How long a server asks to wait: headers of HTTP, or the words of its message."""

from __future__ import annotations

import datetime
import email.utils
import re
import time
from collections.abc import Mapping

LONGEST = 1e9
_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:(ms|milliseconds?)|(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?))(?![a-z])[\s,]*",
    re.IGNORECASE,
)
_SECONDS = (0.001, 1.0, 60.0, 3600.0)
_WORDS = re.compile(
    rf"(?:again|retry|wait)(?: (?:in|after|for|about))*:? (?=\d)((?:{_PART.pattern})+)", re.IGNORECASE
)


def retry_after(headers: Mapping[str, str], text: str = "") -> float | None:
    """Seconds to wait by `retry-after-ms`, `retry-after` (a number, a duration or a date), or a message; else None."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return min(max(0.0, float(headers.get(name, "")) * scale), LONGEST)
        except ValueError:
            continue
    given = headers.get("retry-after", "").strip()
    if (seconds := _duration(given)) is not None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(given)
        stamp = (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).timestamp()
        return min(max(0.0, stamp - time.time()), LONGEST)
    except (ValueError, OverflowError, OSError):
        found = _WORDS.search(text[:5000])
        return _duration(found[1].strip()) if found else None


def _duration(text: str) -> float | None:
    """The seconds of `30s`, `1m30s`, `2 minutes` or `250 ms`."""
    parts = list(_PART.finditer(text))
    if not parts or _PART.sub("", text).strip():
        return None
    seconds = (
        float(p[1]) * scale
        for p in parts
        for unit, scale in zip(p.groups()[1:], _SECONDS, strict=True)
        if unit
    )
    return min(sum(seconds), LONGEST)
