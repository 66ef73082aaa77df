"""Runs a vLLM server and ends it with the process that wants it: a script for any Python, of the standard library.

    python serve_child.py PARENT-PID MODULE ARGUMENTS...

This process leads a process group of its own, with the server, its engine and its workers. The whole group ends when
the server ends, when the parent has ended, however that happened, and after SIGTERM, at the latest `GRACE` seconds
later. Nothing else does that on every system: a parent-death signal follows the thread that started a process, and
vLLM's engine outlives a killed server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

GRACE = 5.0
"""Seconds that the server may take to end by itself; it has nothing to save."""
STEP = 0.1
PASSES = 20
PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    stopped: list[float] = []
    _guard_group()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(time.monotonic()))
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_this_process)
    asked, first = False, os.getppid()  # not the parent where the Python is started by a shell script
    while server.poll() is None and os.getppid() == first and _lives(parent):
        if stopped and not asked:
            server.terminate()
            asked = True
        if stopped and time.monotonic() - stopped[0] > GRACE:
            break
        time.sleep(STEP)
    if server.returncode is not None and not stopped:
        sys.stderr.write(f"the vLLM server ended with status {server.returncode}\n")
        sys.stderr.flush()
    kill_group(os.getpgid(0))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _guard_group() -> None:
    """A second process that ends the group if this one is killed, as Ray kills the children of its own processes."""
    own = os.getpid()
    if os.fork():
        return
    while os.getppid() == own:
        time.sleep(STEP)
    kill_group(os.getpgid(0))
    os._exit(0)


def _end_with_this_process() -> None:
    """In the server: end in order if this process is killed (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(group: int) -> None:
    """Kill the processes of a group, this one last. Python's resource trackers are spared: they end by themselves once
    the others are gone, and then remove the shared memory of killed processes."""
    if not os.path.isdir("/proc/self"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        return
    own = os.getpid()
    for _ in range(PASSES):
        if not (members := _members(group) - {own}):
            break
        for pid in members:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(STEP / 2)  # one that was just started is found next time
    if os.getpgid(0) == group:
        os.kill(own, signal.SIGKILL)


def _members(group: int) -> set[int]:
    """The processes of a group that live, but for resource trackers."""
    found = set()
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):
            if os.getpgid(int(name)) == group and not _has_ended(name) and not _is_tracker(name):
                found.add(int(name))
    return found


def _has_ended(pid: str) -> bool:
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] in ("Z", "X")


def _is_tracker(pid: str) -> bool:
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        return b"from multiprocessing.resource_tracker import main" in stream.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), [sys.executable, "-m", *sys.argv[2:]])
