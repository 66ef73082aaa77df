"""Facts about this machine that decide whether a model fits: memory, GPUs, disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as listed by nvidia-smi: sizes in bytes, compute capability such as (8, 0)."""

    name: str
    memory: int
    free: int
    capability: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Sizes in bytes, None where unknown; `memory` respects a container's limit.

    `unified`: an Apple chip, whose GPU shares main memory.
    """

    memory: int | None
    memory_free: int | None
    disk_free: int | None
    gpus: tuple[Gpu, ...] = ()
    offline: bool = False
    unified: bool = False


def machine_facts(disk: Path, *, offline: bool = False) -> MachineFacts:
    """The facts of this machine; `disk` is a folder, which need not exist, on the relevant disk."""
    unified = sys.platform == "darwin" and platform.machine() == "arm64"
    return MachineFacts(
        memory_total(), memory_available(), disk_free(disk), graphics_cards(), offline, unified
    )


def memory_total() -> int | None:
    """Bytes of main memory, limited to what the container allows."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    limit = _number("/sys/fs/cgroup/memory.max")
    return physical if limit is None else min(physical, limit)


def memory_available() -> int | None:
    """Bytes of main memory available without swapping; all of it where the system does not say."""
    total = memory_total()
    free = total
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if free is not None and limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def disk_free(folder: Path) -> int | None:
    """Free bytes on the disk of a folder, which need not exist."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return None


def graphics_cards() -> tuple[Gpu, ...]:
    """The NVIDIA cards that CUDA programs see; empty without nvidia-smi."""
    fields = ("index", "uuid", "name", "memory.total", "memory.free", "compute_cap")
    return parse_cards(_nvidia_smi(fields, "nounits"), os.environ.get("CUDA_VISIBLE_DEVICES"))


def installed_gpus() -> list[dict[str, str]]:
    """Name, memory and driver of every NVIDIA card, by nvidia-smi's names, for a manifest; empty without nvidia-smi."""
    fields = ("name", "memory.total", "driver_version")
    lines = _nvidia_smi(fields).splitlines()
    return [dict(zip(fields, line.split(", "), strict=False)) for line in lines if line]


def _nvidia_smi(fields: Sequence[str], *form: str) -> str:
    """nvidia-smi's CSV lines of those fields; empty when it is missing or fails."""
    shape = ",".join(("csv", "noheader", *form))
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", f"--format={shape}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_cards(shown: str, visible: str | None = None) -> tuple[Gpu, ...]:
    """The cards in nvidia-smi's CSV (index, uuid, name, MiB, MiB, capability) that CUDA_VISIBLE_DEVICES allows."""
    cards: list[Gpu] = []
    wanted = None if visible is None else [part.strip() for part in visible.split(",") if part.strip()]
    for line in shown.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 6 or not (parts[3].isdigit() and parts[4].isdigit()):
            continue
        if wanted is not None and not any(
            parts[0] == w or (len(w) > 3 and parts[1].startswith(w)) for w in wanted
        ):
            continue
        major, _, minor = parts[5].partition(".")
        capability = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
        cards.append(Gpu(parts[2], int(parts[3]) << 20, int(parts[4]) << 20, capability))
    return tuple(cards)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _number(path: str) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdigit() else None
