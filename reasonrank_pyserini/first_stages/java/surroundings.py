"""Java's environment variables, locale and proxy, and the program's logging."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies


def java_environment(home: str) -> dict[str, str]:
    """The environment for a separate Java program, without variables that make Java print or change its options."""
    noisy = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in noisy}
    return kept | {"JAVA_HOME": home, **utf8_locale()}


def utf8_locale() -> dict[str, str]:
    """A locale with which Java can open files with non-ASCII names, if LC_ALL (cron, Slurm) prevents that."""
    return {"LC_ALL": "C.UTF-8"} if os.environ.get("LC_ALL") in ("C", "POSIX") else {}


def limited_memory() -> bool:
    """Whether this process may use only so much address space (`ulimit -v`), where a JVM may end it as it starts."""
    try:
        import resource  # not on every system
    except ImportError:
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def proxy_options() -> list[str]:
    """The environment's https proxy as Java options, since Java itself ignores it when it downloads topics."""
    proxy = urlsplit(getproxies().get("https", ""))
    return (
        [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]
        if proxy.hostname
        else []
    )


@contextmanager
def changed_environment(**changes: str | None) -> Iterator[None]:
    """Set environment variables during the block; None removes one."""
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
    """Restore the root logger after the block, since Pyserini calls logging.basicConfig when imported."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
