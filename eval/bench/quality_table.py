"""The committed table of modelled quality by strategy (eval/results/strategies.md), read back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HEAD = "| strategy | nDCG@10 | against sliding 20/10 |"


@dataclass(frozen=True, slots=True)
class Between:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def read(cls, cell: str) -> Between:
        """Of a cell like `41.2 [38.1, 44.2]`."""
        return cls(*map(float, re.findall(r"-?\d+\.\d+", cell)))

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Quality:
    """nDCG@10 x 100 of a strategy, its difference from sliding windows 20/10, and its rounds."""

    ndcg: Between
    gain: Between
    rounds: float


def read_quality(path: Path) -> dict[str, Quality]:
    """The table at order noise 0.8 by strategy; ValueError where there is no such table."""
    lines = path.read_text().splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith(HEAD)]
    if not heads:
        raise ValueError(f"{path} has no table that begins {HEAD}")
    found = {}
    for line in lines[heads[0] + 2 :]:
        if not line.startswith("|"):
            break
        name, ndcg, gain, _, rounds, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        found[name] = Quality(Between.read(ndcg), Between.read(gain), float(rounds))
    return found
