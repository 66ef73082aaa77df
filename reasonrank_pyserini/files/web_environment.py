"""Checks the variables of the environment that HTTP clients and the hub's client read."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import InputError
from .no_proxy import leaves_out

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
"""The schemes that httpx supports; the last two need the package socksio."""
SOCKS_PACKAGE = "socksio"
"""The package that httpx needs for SOCKS; optional, not a dependency."""
READ_BY_HTTPX = ("SSL_CERT_FILE", "SSL_CERT_DIR")
CERTIFICATE_VARIABLES = (*READ_BY_HTTPX, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
HUB_NUMBERS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
HUB_HEADERS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_USER_AGENT_ORIGIN")
_OWN_NAMES = {
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment: the variable that names it, and its address without a password."""

    variable: str
    address: str
    full_address: str = field(default="", repr=False)


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own: loopback, its host name, or 0.0.0.0 and [::], which servers print."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host in _OWN_NAMES or host.endswith(".localhost") or host == socket.gethostname().lower().rstrip("."):
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[0-9a-fx.]*[0-9.][0-9a-fx.]*", host):
            return False
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified


def proxy_for(url: str) -> Proxy | None:
    """The proxy that a request to `url` goes through; None for none, and always for this machine's own addresses.

    InputError, with the variable's name, for a proxy that no HTTP client here can use.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    if is_loopback(url) or leaves_out(proxies.get("no", ""), host, parts.port or _default_port(parts.scheme)):
        return None
    if "no" not in proxies and proxy_bypass(host):  # the settings of macOS and Windows
        return None
    kind = next((name for name in (parts.scheme, "all") if proxies.get(name, "").strip()), None)
    if kind is None:
        return None
    value = proxies[kind].strip()
    _check_proxy(kind, value)
    return Proxy(_variable(kind), _without_password(value), value if "://" in value else f"http://{value}")


def check_proxies() -> None:
    """InputError, with the variable's name, for any proxy that no HTTP client here can use, or such a NO_PROXY."""
    proxies = getproxies()
    for kind in ("http", "https", "all"):
        if value := proxies.get(kind):
            _check_proxy(kind, value)
    for entry in proxies.get("no", "").split(","):
        if problem := _no_proxy_problem(entry.strip()):
            raise InputError(
                f"the environment variable {_variable('no')} holds {entry.strip()[:80]!r}, which {problem}: write "
                "that entry as a host name or an address"
            )


def _check_proxy(kind: str, value: str) -> None:
    problem = next(_proxy_problems(value), None)
    if problem is not None:
        name, shown = _variable(kind), _without_password(value)
        raise InputError(
            f"the environment variable {name} holds the proxy {shown!r}, which cannot be used ({problem}): "
            "correct it or unset it"
        )


def _no_proxy_problem(entry: str) -> str | None:
    """Why httpx fails with an entry of NO_PROXY; None if it does not."""
    name = entry.partition("://")[2] or entry
    try:
        ipaddress.ip_address(name)
    except ValueError:
        bad = name.startswith("[") or name.count(":") > 1 or re.search(r":(?!\d{1,5}$)", name)
        return "the HTTP client cannot read" if bad else None
    return None


def check_certificates(names: Sequence[str] = CERTIFICATE_VARIABLES) -> None:
    """InputError, with the variable's name, for a file or folder of certificates that cannot be read.

    The same for a SSLKEYLOGFILE that cannot be written, which every secure connection opens.
    """
    for name in names:
        if path := os.environ.get(name):
            problem = _certificate_problem(name, path)
            if problem is not None:
                raise InputError(
                    f"the environment variable {name} names the certificates {path!r}, which {problem}: correct it "
                    "or unset it"
                )
    if path := os.environ.get("SSLKEYLOGFILE"):
        try:
            with open(path, "a"):
                pass
        except OSError as error:
            raise InputError(
                f"the environment variable SSLKEYLOGFILE names {path!r}, which cannot be written ({error.strerror}): "
                "correct it or unset it"
            ) from error


def check_hub_numbers() -> None:
    """InputError, with the variable's name, for a timeout of the hub's client that is not a whole number.

    Merely importing that client fails otherwise.
    """
    for name in HUB_NUMBERS:
        if value := os.environ.get(name):
            try:
                int(value)
            except ValueError:
                raise InputError(
                    f"the environment variable {name} is {value[:40]!r}, not a whole number of seconds: correct it or "
                    "unset it"
                ) from None


def check_hub() -> None:
    """InputError, with the variable's name, for what the hub's client reads and cannot use.

    A hub on this machine is added to NO_PROXY, since that client would ask a proxy for it.
    """
    check_hub_numbers()
    endpoint = os.environ.get("HF_ENDPOINT", "").strip()
    if "HF_ENDPOINT" in os.environ and not re.fullmatch(r"https?://[^\s/?#\"']+(/[^\s?#\"']*)?", endpoint):
        raise InputError(
            f"the environment variable HF_ENDPOINT is {_without_password(endpoint)!r}, not an http or https address "
            "such as https://huggingface.co: correct it or unset it"
        )
    for name in HUB_HEADERS:
        value = os.environ.get(name, "").strip()
        if not (value.isascii() and value.isprintable()) or set(value) & set("\"'"):
            raise InputError(
                f"the environment variable {name} contains characters that cannot be sent in a header: set it again "
                "or unset it"
            )
    check_proxies()
    if not (endpoint and is_loopback(endpoint)):
        check_certificates()
    elif getproxies().keys() & {"http", "https", "all"}:
        name, host = _variable("no"), urlsplit(endpoint).hostname or ""
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, os.environ.get(name, "").split(",")), host]))


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _proxy_problems(value: str) -> Iterator[str]:
    value = value.strip()
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
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # SSLError is one
        return f"cannot be read ({getattr(error, 'reason', None) or error.strerror or error})"
    return None


def _variable(kind: str) -> str:
    """The variable's name in the case in which it is set."""
    name = f"{kind}_proxy"
    return next((found for found in (name, name.upper()) if os.environ.get(found)), name)


def _without_password(address: str) -> str:
    shown = re.sub(r"(^|//)[^/]*@", r"\1", address.partition("?")[0])
    return "".join(char if char.isprintable() else "?" for char in shown)[:120]
