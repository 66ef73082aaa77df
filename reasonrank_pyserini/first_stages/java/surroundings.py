"""What surrounds Java: environment variables, its locale and proxy, the program's logging."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies


def java_environment(home: str) -> dict[str, str]:
    """The environment for a Java program of our own: nothing in it makes Java print or change its options."""
    noisy = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in noisy}
    return kept | {"JAVA_HOME": home, **utf8_locale()}


def utf8_locale() -> dict[str, str]:
    """A locale in which Java can open files whose names are not ASCII, where LC_ALL forbids them (cron, Slurm)."""
    return {"LC_ALL": "C.UTF-8"} if os.environ.get("LC_ALL") in ("C", "POSIX") else {}


def proxy_options() -> list[str]:
    """The https proxy of the environment: Java, which downloads topics, does not look there."""
    proxy = urlsplit(getproxies().get("https", ""))
    return (
        [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]
        if proxy.hostname
        else []
    )


@contextmanager
def changed_environment(**changes: str | None) -> Iterator[None]:
    """Environment variables for the length of the block; None takes one away."""
    before = {name: os.environ.get(name) for name in changes}
    try:
        _set(changes)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@contextmanager
def kept_logging() -> Iterator[None]:
    """Pyserini calls logging.basicConfig at import; how a program logs is its own choice."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
