"""What the arms scored on a test split: means, intervals, and what each arm lacks of the whole recipe."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from arms import (
    ARMS,
    BASE_SEED,
    FIRST_STAGE,
    MAIN,
    PAPER_FIRST_STAGE,
    SHIPPED,
    Arm,
    chain,
)
from errors import Shares, shares
from plan import model_of, reranked_of
from running import total_seconds

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.statistics import Interval, bootstrap_mean
from reasonrank_pyserini.files.locks import read_json

MEASURE = "nDCG@10"
SHARES = ("complete", "concept", "on_top", "early", "late")


@dataclass(frozen=True, slots=True)
class Result:
    """One model: 100 nDCG@10 by query, what went wrong, and seconds of its own trainings; None: not measured."""

    per_query: Mapping[str, float]
    shares: Shares | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table, in points of nDCG@10.

    `seeds`: the mean of each seed that there is. `mean`: over queries, of the mean over seeds, with its
    interval. `spread`: standard deviation over seeds, None below two. `difference`: to the whole recipe,
    paired by query over the seeds that both have. The shares are those of `errors.Shares`, means over seeds.
    Fields are None where nothing is there.
    """

    title: str
    paper: float | None
    seeds: Mapping[int, float]
    mean: Interval | None = None
    spread: float | None = None
    difference: Interval | None = None
    complete: float | None = None
    concept: float | None = None
    on_top: float | None = None
    early: float | None = None
    late: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """On one test split: the first stage's result, and those of the arms by name and seed."""

    first: Result | None
    arms: Mapping[str, Mapping[int, Result]]


def read_results(folder: Path, split: str, seeds: Sequence[int]) -> Results:
    """The results that exist for a test split."""
    seconds = total_seconds(folder)
    found: dict[str, dict[int, Result]] = {}
    for arm in (*ARMS, *SHIPPED):
        found[arm.name] = {}
        for seed in seeds if arm.start else [BASE_SEED]:
            scores = _per_query(folder / "scores" / split / f"{arm.name}-{seed}.json")
            if scores is None:
                continue
            names = [str(model_of(folder, one.name, seed).relative_to(folder)) for one in chain(arm.name)]
            steps = names[1:] or names
            took = sum(seconds[step] for step in steps) if seconds.keys() >= set(steps) else None
            found[arm.name][seed] = Result(scores, _shares(folder, arm.name, seed, split), took)
    first = _per_query(folder / "scores" / split / "bm25.json")
    return Results(None if first is None else Result(first), found)


def _shares(folder: Path, arm: str, seed: int, split: str) -> Shares | None:
    """From the trace, and written next to the scores; without a trace, as written there before."""
    path = folder / "shares" / split / f"{arm}-{seed}.json"
    found = shares(reranked_of(folder, arm, seed, split), split)
    if found is None:
        kept = read_json(path)
        return Shares(**kept) if kept else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
    return found


def _per_query(path: Path) -> dict[str, float] | None:
    report = read_json(path)
    if report is None:
        return None
    return {query: 100 * values[MEASURE] for query, values in report["per_query"].items()}


def compared(found: Mapping[str, Results]) -> dict[str, list[Line]]:
    """For every test split the first stage and every arm in the table's order, the same on all splits.

    The shipped model's arms are included if any split has them. InputError when there are no results.
    """
    if not any(split.first or any(split.arms.values()) for split in found.values()):
        raise InputError("no results yet: run it without --table")
    shipped = [arm for arm in SHIPPED if any(split.arms.get(arm.name) for split in found.values())]
    return {name: _lines(split, (*ARMS, *shipped)) for name, split in found.items()}


def _lines(found: Results, arms: Sequence[Arm]) -> list[Line]:
    main = found.arms.get(MAIN, {})
    first = {} if found.first is None else {BASE_SEED: found.first}
    lines = [_without_seeds(FIRST_STAGE, PAPER_FIRST_STAGE, first, main)]
    for arm in arms:
        make = _line if arm.start else _without_seeds
        lines.append(make(arm.title, arm.paper, found.arms.get(arm.name, {}), main))
    return lines


def _without_seeds(
    title: str, paper: float | None, own: Mapping[int, Result], main: Mapping[int, Result]
) -> Line:
    """The line of what every seed starts from."""
    result = next(iter(own.values()), None)
    every = {} if result is None else dict.fromkeys(main or own, result)
    return replace(_line(title, paper, every, main), seeds={}, spread=None)


def _line(title: str, paper: float | None, own: Mapping[int, Result], main: Mapping[int, Result]) -> Line:
    if not own:
        return Line(title, paper, {})
    by_seed = {seed: statistics.fmean(result.per_query.values()) for seed, result in own.items()}
    return Line(
        title,
        paper,
        by_seed,
        bootstrap_mean(list(_over_seeds(own, own).values())),
        statistics.stdev(by_seed.values()) if len(by_seed) > 1 else None,
        None if own is main else _difference(own, main),
        **{name: _mean([getattr(r.shares, name, None) for r in own.values()]) for name in SHARES},
        seconds=_mean([result.seconds for result in own.values()]),
    )


def _over_seeds(found: Mapping[int, Result], seeds: Sequence[int] | Mapping[int, Any]) -> dict[str, float]:
    """By query, the mean over seeds."""
    columns = [found[seed].per_query for seed in seeds]
    return {query: statistics.fmean(column[query] for column in columns) for query in columns[0]}


def _difference(own: Mapping[int, Result], main: Mapping[int, Result]) -> Interval | None:
    both = [seed for seed in own if seed in main]
    if not both:
        return None
    mine, whole = _over_seeds(own, both), _over_seeds(main, both)
    if mine.keys() != whole.keys():
        raise InputError("two arms were scored over different queries: remove the scores and run it again")
    return bootstrap_mean([mine[query] - whole[query] for query in mine])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
