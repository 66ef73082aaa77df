"""The processes of the vLLM servers that a process has started, by their part in a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

PARTS = {"serve_child.py": "supervisor", "EngineCore": "engine core", "api_server": "API server"}
"""What stands in a command line, and the part that this process has."""
MINE = "driver"


def parts(pid: int | None = None) -> dict[str, list[Any]]:
    """Processes by their part, below a process (None: this one), which is itself the driver."""
    import psutil

    driver = psutil.Process(pid)
    found: dict[str, list[Any]] = {MINE: [driver], **{name: [] for name in PARTS.values()}}
    for process in driver.children(recursive=True):
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            part = next((name for mark, name in PARTS.items() if mark in words), None)
            if part is not None and "resource_tracker" not in words:
                found[part].append(process)
    return found


def cpu_seconds(found: dict[str, list[Any]]) -> dict[str, float]:
    """Processor time so far, by part."""
    return {part: sum(sum(one.cpu_times()[:2]) for one in processes) for part, processes in found.items()}


def of_servers(seconds: dict[str, float]) -> float:
    """The processor time of all parts but the driver."""
    return sum(value for part, value in seconds.items() if part != MINE)


def unique_memory(found: dict[str, list[Any]]) -> dict[str, int]:
    """Bytes that only one process has (USS), by part."""
    return {part: sum(one.memory_full_info().uss for one in processes) for part, processes in found.items()}


def pids_of_servers(pid: int | None = None) -> Iterator[int]:
    """The processes of the servers below a process."""
    for part, processes in parts(pid).items():
        if part != MINE:
            yield from (process.pid for process in processes)


def gone(pids: Sequence[int], seconds: float) -> bool:
    """Whether none of the processes is left after at most that time (a zombie counts as gone)."""
    import psutil

    _, alive = psutil.wait_procs([p for p in psutil.process_iter() if p.pid in pids], timeout=seconds)
    with suppress(psutil.NoSuchProcess):
        return all(one.status() == psutil.STATUS_ZOMBIE for one in alive)
    return True
