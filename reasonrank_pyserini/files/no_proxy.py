"""Whether NO_PROXY leaves a host out, with the forms that curl, requests, Go and container tools write."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def leaves_out(no_proxy: str, host: str, port: int) -> bool:
    """Whether an entry matches: `*`, a domain with its subdomains, an address or CIDR block, each with a port or not.

    Entries are separated by commas or spaces; those that cannot be read match nothing.
    """
    return any(
        _matches(entry, host.lower().rstrip("."), port) for entry in re.split(r"[\s,;]+", no_proxy) if entry
    )


def _matches(entry: str, host: str, port: int) -> bool:
    entry = entry.strip("'\"").lower()
    if "://" in entry:
        try:
            entry = urlsplit(entry).netloc
        except ValueError:
            return False
    name, wanted = _with_port(entry)
    if wanted is not None and wanted != port:
        return False
    if name == "*":
        return True
    try:
        return _address(host) in ipaddress.ip_network(name.strip("[]").replace("]/", "/"), strict=False)
    except ValueError:
        domain = name.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _with_port(entry: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[.*\]|[^:]*):(\d{1,5})", entry)
    return (found[1], int(found[2])) if found else (entry, None)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a host given as one; ValueError for a name."""
    return ipaddress.ip_address(host.strip("[]").partition("%")[0])
