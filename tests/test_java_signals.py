"""Signals in a process with a JVM: Ctrl-C and SIGTERM stay Python's, after a search and during one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from java_kit import OWN_JVM, SEARCH, bundled, index
from javarun import run_and_signal

__all__ = ["bundled", "index"]  # fixtures

WAIT = """
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    print("cleaned up", flush=True)
"""


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_ctrl_c_and_sigterm_are_pythons_after_a_search(index: Path, bundled: str, first: str) -> None:
    start, changes = (OWN_JVM, {"JAVA_HOME": bundled}) if first == "theirs" else ("", {})
    status, said = run_and_signal(start + SEARCH + "search()" + WAIT, signal.SIGINT, index, **changes)
    assert (status, said.split()) == (0, ["ready", "interrupted", "cleaned", "up"])
    status, said = run_and_signal(start + SEARCH + "search()" + WAIT, signal.SIGTERM, index, **changes)
    assert (status, said.split()) == (-signal.SIGTERM, ["ready"])
    handler = "def end(*_): print('mine', flush=True); sys.exit(7)\nsignal.signal(signal.SIGTERM, end)\n"
    script = "import signal, sys\n" + handler + start + SEARCH + "search()" + WAIT
    status, said = run_and_signal(script, signal.SIGTERM, index, **changes)
    assert (status, said.split()) == (7, ["ready", "mine", "cleaned", "up"])


def test_ctrl_c_works_when_another_thread_searched(index: Path) -> None:
    script = SEARCH + "t = threading.Thread(target=search); t.start(); t.join()" + WAIT
    status, said = run_and_signal(script, signal.SIGINT, index)
    assert (status, said.split()) == (0, ["ready", "interrupted", "cleaned", "up"])


def test_ctrl_c_interrupts_a_long_search(index: Path) -> None:
    script = (
        SEARCH
        + """
queries = [Query(str(n), "apple pear") for n in range(1_000_000)]
stage = LuceneFirstStage(sys.argv[1], threads=1)
try:
    print("ready", flush=True)
    stage.candidates(queries, 10)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    status, said = run_and_signal(script, signal.SIGINT, index)
    assert (status, said.split()) == (0, ["ready", "interrupted"])
