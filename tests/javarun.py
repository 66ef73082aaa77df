"""Runs Python scripts in processes of their own: a JVM starts once per process and stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without a Java or a key of the user's, plus `changes` (None removes)."""
    unwanted = ("JAVA_HOME", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "REASONRANK_JAVA_HEAP", "OPENAI_API_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    merged = {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **changes}
    return {name: value for name, value in merged.items() if value is not None}


def run(script: str, *arguments: object, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """The script's exit status and what arrived at file descriptors 1 and 2."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        env=environment(**changes),
        check=False,
    )


def run_and_signal(
    script: str, number: signal.Signals, *arguments: object, **changes: str | None
) -> tuple[int, str]:
    """Starts the script, sends the signal once it has printed "ready"; its exit status and what it printed from there
    on. Lines before that are Java's: from version 24 on, one that others started prints warnings."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**changes),
    ) as process:
        assert process.stdout is not None
        try:
            before = []
            while (line := process.stdout.readline()) != "ready\n":
                before.append(line)
                assert line, "".join(before)
            process.send_signal(number)
            rest = process.stdout.read()
            return process.wait(timeout=600), line + rest
        finally:
            process.kill()
