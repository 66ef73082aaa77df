"""The address of a server, as a user gives it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ...errors import InputError

EXAMPLE = "`base_urls` http://localhost:8000/v1"


def server_address(url: str) -> str:
    """The address without a trailing slash; `/v1` is added when it has no path."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"base url {_shown(url)!r} cannot be read ({error}): give {EXAMPLE}") from None
    if parts.username is not None or parts.password is not None:
        raise InputError("a base url must not contain a name or password: put the key into the environment")
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise InputError(f"base url {_shown(url)!r} is not an http or https address: give {EXAMPLE}")
    if not _is_host(host):
        raise InputError(
            f"base url {_shown(url)!r} has the host {host[:60]!r}, which is not a valid host name: give {EXAMPLE}"
        )
    if parts.query or parts.fragment:
        raise InputError(f"base url {_shown(url)!r} must end with its path: give {EXAMPLE}")
    path = parts.path.rstrip("/")
    for tail in (
        "/chat/completions",
        "/completions",
        "/chat",
        "/responses",
        "/messages",
        "/models",
        "/embeddings",
    ):
        if path.endswith(tail):
            base = f"{parts.scheme}://{parts.netloc}{path.removesuffix(tail)}"
            raise InputError(f"base url {_shown(url)!r} is an endpoint of the API: give `base_urls` {base}")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _is_host(host: str) -> bool:
    """Whether the HTTP client can encode a host name."""
    import httpx

    try:
        return bool(httpx.URL(scheme="http", host=host).raw_host)
    except (httpx.InvalidURL, ValueError):
        return False


def _shown(url: str) -> str:
    """A url for a message, without query, password and control characters, shortened."""
    without = re.sub(r"//[^/]*@", "//", url.partition("?")[0])
    return "".join(char if char.isprintable() else "?" for char in without)[:120]
