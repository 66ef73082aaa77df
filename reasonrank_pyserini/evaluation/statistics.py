"""What a mean over queries is worth: bootstrap intervals, equivalence with a published number, Holm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..lazy import require

_CHUNK = 1_000_000
"""How many resampled values are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its bootstrap 95% interval (percentiles), in the unit of the values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided t-tests of a mean against a target.

    `difference`: mean minus target; `low`, `high`: its 90% interval; `p`: the larger of the two p values.
    `equivalent`: p is below 0.05, which is to say that the interval lies within the margin on both sides.
    """

    difference: float
    low: float
    high: float
    p: float
    equivalent: bool


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, samples: int = 10_000) -> Interval:
    """The mean of the values and its interval over resampled queries; equal seeds give equal results."""
    import numpy

    return _interval([_array(values)], numpy.random.default_rng(seed), samples)


def stratified_mean(
    groups: Mapping[str, Sequence[float]], *, seed: int = 0, samples: int = 10_000
) -> Interval:
    """The mean of the groups' means and its interval, queries resampled within each group.

    The order of the groups does not matter.
    """
    import numpy

    if not groups:
        raise InputError("there are no groups to average over")
    columns = [_array(groups[name]) for name in sorted(groups)]
    return _interval(columns, numpy.random.default_rng(seed), samples)


def equivalence(values: Sequence[float], target: float, margin: float) -> Equivalence:
    """Whether the values' mean is within `margin` of the target, both in the unit of the values (TOST).

    Raises InputError for fewer than two values and for a margin that is not positive.
    """
    column, freedom = _array(values), len(values) - 1
    if freedom < 1:
        raise InputError("an equivalence test needs the values of two queries or more")
    if not 0 < margin < math.inf or not math.isfinite(target):
        raise InputError(f"the margin {margin} must be above 0 and the target {target} a finite number")
    difference = float(column.mean()) - target
    error = float(column.std(ddof=1)) / len(values) ** 0.5
    if error <= 1e-15:
        same = abs(difference) < margin
        return Equivalence(difference, difference, difference, 0.0 if same else 1.0, same)
    special = require("scipy.special", "the equivalence test")
    above, below = (margin + difference) / error, (margin - difference) / error
    p = float(special.stdtr(freedom, -min(above, below)))
    reach = float(special.stdtrit(freedom, 0.95)) * error
    return Equivalence(difference, difference - reach, difference + reach, p, p < 0.05)


def holm(pvalues: Mapping[str, float]) -> dict[str, float]:
    """The p values corrected for testing all of them (Holm's step-down), by the same names."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(pvalues, key=lambda one: pvalues[one])):
        if not 0 <= pvalues[name] <= 1:
            raise InputError(f"{pvalues[name]} is no p value ({name})")
        largest = max(largest, min(1.0, (len(pvalues) - rank) * pvalues[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in pvalues}


def _array(values: Sequence[float]) -> Any:
    import numpy

    column = numpy.asarray(values, dtype=float)
    if column.ndim != 1 or not len(column) or not numpy.isfinite(column).all():
        raise InputError("a mean needs the finite value of at least one query")
    return column


def _interval(columns: Sequence[Any], random: Any, samples: int) -> Interval:
    """Of the mean of the columns' means, each column resampled by itself, in chunks to bound memory."""
    import numpy

    if samples < 1:
        raise InputError(f"{samples} bootstrap samples: at least one is needed")
    means = numpy.zeros(samples)
    for column in columns:
        size = len(column)
        for begin in range(0, samples, chunk := max(1, _CHUNK // size)):
            drawn = random.integers(0, size, (min(chunk, samples - begin), size))
            means[begin : begin + chunk] += column[drawn].mean(axis=1)
    low, high = numpy.percentile(means / len(columns), (2.5, 97.5))
    mean = sum(float(column.mean()) for column in columns) / len(columns)
    return Interval(mean, float(low), float(high))
