"""How many requests may be in flight at a server, given how many connections this process may open."""

from __future__ import annotations

import logging
import math
import os
from contextlib import suppress

from .http_options import Options

log = logging.getLogger(__name__)

OTHER_FILES = 64
"""Files left for everything else: corpora, results, the journal, Java."""


def requests_per_server(options: Options, default: int, servers: int) -> float:
    """The most requests in flight at each of several servers: `default`, or no bound of its own when `concurrency` is
    set, and fewer when the process's limit of open files (`ulimit -n`) leaves no room for them, which a warning states.
    """
    wanted = options.concurrency or default * servers
    room = _room(wanted)
    if room >= wanted:
        return math.inf if options.concurrency else default
    possible = max(1, room // servers)
    note = (
        "reasonrank: %d more files may be open in this process (ulimit -n): at most %d requests at a server"
    )
    log.warning(note, room, possible)
    return possible


def _room(wanted: int) -> int:
    """How many more files may be opened, at most `wanted`; raises the soft limit if the hard one permits."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = _open_files() + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted + used:
        raised = wanted + used if hard == resource.RLIM_INFINITY else min(wanted + used, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        return min(wanted, max(0, soft - used))
    return wanted


def _open_files() -> int:
    with suppress(OSError):
        return len(os.listdir("/dev/fd"))
    return 0
