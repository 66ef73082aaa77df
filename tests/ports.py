"""Ports of loopback that stay a test's own while no server listens there yet, or no longer."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port(port: int = 0) -> Iterator[int]:
    """A port, 0 for a free one, that no other process is given during the block; OSError where a server has it.

    Connections are refused until a server that sets SO_REUSEADDR, as servers do, listens there. Only Linux lets both
    have the port: elsewhere it is not kept.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", port))
        number: int = kept.getsockname()[1]
        if sys.platform != "linux":
            kept.close()
        yield number
