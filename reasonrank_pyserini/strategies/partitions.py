"""Lists of candidates cut into groups of nearly equal size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..types import Window


def group_count(n: int, size: int) -> int:
    """The smallest number of groups of at most `size` that hold `n` items."""
    return -(-n // size)


def strided_groups(order: Sequence[int], count: int, epoch: int = 0) -> list[Window]:
    """`count` groups that each hold the same mixture of ranks, best first; sizes differ by at most one.

    The list is cut into strata of `count` neighbours; every group takes one of each. Item i of stratum s goes into
    group (i + epoch * s) modulo `count`, so that in another epoch the groups are others.
    """
    groups: list[list[int]] = [[] for _ in range(count)]
    for at, item in enumerate(order):
        stratum, place = divmod(at, count)
        groups[(place + epoch * stratum) % count].append(item)
    return [tuple(group) for group in groups]


def even_slices(order: Sequence[int], count: int) -> list[Window]:
    """`count` neighbouring slices of the list; sizes differ by at most one."""
    ends = [len(order) * number // count for number in range(count + 1)]
    return [tuple(order[begin:end]) for begin, end in pairwise(ends)]
