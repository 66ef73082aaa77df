"""Imports by name, when needed: the only way to a heavy package or an adapter."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from types import ModuleType
from typing import Any

from .errors import InputError, MissingPackageError, UnknownNameError

INSTALL = {
    "vllm": "pip install 'reasonrank-pyserini[vllm]', or give a Python that has it as `vllm_python` (CUDA; without a "
    "GPU use `engine` transformers)",
    "ray": "pip install 'reasonrank-pyserini[ray]'",
    "pyterrier": "pip install 'reasonrank-pyserini[pyterrier]'",
    "mcp": "pip install 'reasonrank-pyserini[mcp]'",
    "mteb": "pip install 'reasonrank-pyserini[mteb]'",
    "faiss": "pip install 'reasonrank-pyserini[dense]'",
    "sentence_transformers": "pip install 'reasonrank-pyserini[dense]'",
    **dict.fromkeys(
        ("prometheus_client", "starlette", "uvicorn"), "pip install 'reasonrank-pyserini[serve]'"
    ),
    **dict.fromkeys(
        ("accelerate", "datasets", "inscriptis", "lxml", "matplotlib", "peft", "trl"),
        "pip install 'reasonrank-pyserini[train]'",
    ),
}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed, by name."""
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def require(module: str, purpose: str) -> ModuleType:
    """The imported module; MissingPackageError, with the command to type, when it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise MissingPackageError(root, purpose, INSTALL.get(root, f"pip install {root}")) from error


def resolve(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The object of a name in `table`, whose values are `module:attribute`, or of a `module:attribute` given instead.

    Raises UnknownNameError for a name that is neither, InputError for a reference that does not import.
    """
    reference = table.get(name, name)
    module, colon, attribute = reference.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), attribute]):
        raise UnknownNameError(kind, name, table, "or give your own as module:attribute")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if name in table or (error.name or "") != module:
            raise
        raise InputError(f"{kind} {name!r}: there is no module {module!r} on the Python path") from error
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        raise InputError(f"{kind} {name!r}: module {module!r} has no {attribute!r}") from error


def late_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose names are imported when they are first used.

    `homes`: the module of each name, relative to the package (`.types`).
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(importlib.import_module(homes[name], package), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
