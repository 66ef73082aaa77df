"""Checks the proxy and certificate variables of the environment, which HTTP clients read."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import InputError

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
"""The schemes that httpx supports; the last two need the package socksio."""
SOCKS_PACKAGE = "socksio"
"""The package that httpx needs for SOCKS; optional, not a dependency."""
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment: the variable that names it, and its address without a password."""

    variable: str
    address: str


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, including 0.0.0.0 and [::], which servers print."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def proxy_for(url: str) -> Proxy | None:
    """The proxy that a request to `url` goes through; None for none, and always for this machine's own addresses."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(url) or proxy_bypass(host):
        return None
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    if not proxies.get(kind):
        return None
    return Proxy(_variable(kind), _without_password(proxies[kind]))


def check_proxies() -> None:
    """InputError, with the variable's name, for a proxy that no HTTP client here can use."""
    proxies = getproxies()
    for kind in ("http", "https", "all"):
        if value := proxies.get(kind):
            problem = next(_proxy_problems(value), None)
            if problem is not None:
                name, shown = _variable(kind), _without_password(value)
                raise InputError(
                    f"the environment variable {name} holds the proxy {shown!r}, which cannot be used ({problem}): "
                    "correct it or unset it"
                )


def check_certificates() -> None:
    """InputError, with the variable's name, for a file or folder of certificates that cannot be read."""
    for name in CERTIFICATE_VARIABLES:
        if path := os.environ.get(name):
            problem = _certificate_problem(name, path)
            if problem is not None:
                raise InputError(
                    f"the environment variable {name} names the certificates {path!r}, which {problem}: correct it "
                    "or unset it"
                )


def _proxy_problems(value: str) -> Iterator[str]:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield str(error)
        return
    if parts.scheme not in PROXY_SCHEMES:
        yield f"the scheme {parts.scheme!r} is not one of {', '.join(PROXY_SCHEMES)}"
    elif not host:
        yield "it has no host"
    elif parts.scheme.startswith("socks") and find_spec(SOCKS_PACKAGE) is None:
        yield f"SOCKS needs the package {SOCKS_PACKAGE}: pip install 'httpx[socks]'"


def _certificate_problem(name: str, path: str) -> str | None:
    if name == "SSL_CERT_DIR":
        folders = [part for part in path.split(os.pathsep) if part]
        return None if any(map(os.path.isdir, folders)) else "is not a folder"
    if not os.path.exists(path):
        return "does not exist"
    if os.path.isdir(path):
        return None if name != "SSL_CERT_FILE" else "is a folder"
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # SSLError is one
        return f"cannot be read ({getattr(error, 'reason', None) or error.strerror or error})"
    return None


def _variable(kind: str) -> str:
    """The variable's name in the case in which it is set."""
    name = f"{kind}_proxy"
    return next((found for found in (name, name.upper()) if os.environ.get(found)), name)


def _without_password(address: str) -> str:
    shown = re.sub(r"(^|//)[^/@]*@", r"\1", address.partition("?")[0])
    return "".join(char if char.isprintable() else "?" for char in shown)[:120]
