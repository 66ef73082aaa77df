"""The strategies that the benchmarks compare, by name: the one list of `noisy_judge.py`, `strategies_on_nano.py` and
`strategies_in_time.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reasonrank_pyserini import SlidingWindow
from reasonrank_pyserini.strategies import (
    Groups,
    Passes,
    Pointwise,
    PooledWindows,
    RankingStrategy,
    Sampled,
    Setwise,
    SingleWindow,
    TopDown,
    Tournament,
    TwoPass,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A strategy under its name in the tables; `fuse`: its order fused with the first stage's."""

    name: str
    strategy: RankingStrategy
    fuse: bool = False


SCORING = (Compared("pointwise*", Pointwise()), Compared("two-pass*", TwoPass()))
"""Those that need a judge that scores passages alone."""


def compared(size: int = 20, pooled: PooledWindows | None = None) -> list[Compared]:
    """The strategies with windows of `size`; `pooled`: the pooled windows with the parameters to be compared."""
    sliding, half = SlidingWindow(size, size // 2), size // 2
    groups, pooled = Groups(size), pooled or PooledWindows(size)
    return [
        Compared(f"sliding {size}/{half}", sliding),
        Compared(f"sliding {half}/{half // 2}", SlidingWindow(half, half // 2)),
        Compared(f"sliding {size}/{half} + first stage", sliding, fuse=True),
        Compared(f"sliding {size}/{half}, 3 samples", Sampled(sliding, 3)),
        Compared("passes 2", Passes(size, half)),
        Compared("single", SingleWindow(size)),
        Compared("topdown", TopDown(size)),
        Compared("tournament", Tournament(size)),
        Compared("setwise", Setwise(k=10, children=size - 1)),
        Compared("groups, 1 epoch", replace(groups, epochs=1)),
        Compared("groups, 2 epochs", groups),
        Compared("groups, 2 epochs, strided", replace(groups, layout="strided")),
        Compared("groups, 6 epochs", replace(groups, epochs=6)),
        Compared("groups, 2 epochs + first stage", groups, fuse=True),
        Compared("pooled, budget 5", replace(pooled, budget=5)),
        Compared("pooled", pooled),
        Compared("pooled, budget 16", replace(pooled, budget=16)),
        Compared("pooled, 2 samples", replace(pooled, samples=2)),
        Compared("pooled, 4 samples", replace(pooled, samples=4)),
        Compared("pooled, adaptive, budget 12", replace(pooled, adaptive=True, budget=12)),
        Compared(f"pooled, windows of {half}", replace(pooled, size=half)),
    ]


def named(names: Iterable[str], rows: Iterable[Compared]) -> list[Compared]:
    """Those of the rows, in the order of the names; KeyError for a name that there is none of."""
    by_name = {row.name: row for row in rows}
    return [by_name[name] for name in names]
