"""Ends process PID (an argument) once the process that started this one is gone: tests may be killed, too."""

import contextlib
import os
import signal
import subprocess
import sys
import time


def watch(process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """The watcher of a process; kill it where the process has been ended otherwise."""
    return subprocess.Popen([sys.executable, __file__, str(process.pid)])


if __name__ == "__main__":
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(sys.argv[1]), signal.SIGTERM)
