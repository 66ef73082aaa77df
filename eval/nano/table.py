"""What the arms scored, as a table: means, intervals, and what each arm lacks of the whole recipe."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import Shares, shares
from plan import ARMS, FIRST_STAGE, MAIN, PAPER_FIRST_STAGE, chain
from running import total_seconds

from reasonrank_pyserini.errors import InputError
from reasonrank_pyserini.evaluation.statistics import Interval, bootstrap_mean

MEASURE = "nDCG@10"
SHARES = ("complete", "concept", "on_top")
PAPER_MAIN = chain(MAIN)[-1].paper or 0.0


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
    paired by query over the seeds that both have. Fields are None where nothing is there.
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
    seconds: float | None = None


def read_results(folder: Path, seeds: Sequence[int]) -> tuple[Result | None, dict[str, dict[int, Result]]]:
    """The first stage's result, and by arm and seed those that are there."""
    seconds = total_seconds(folder)
    found: dict[str, dict[int, Result]] = {}
    for arm in ARMS:
        found[arm.name] = {}
        for seed in seeds:
            scores = _per_query(folder / "scores" / f"{arm.name}-{seed}.json")
            if scores is None:
                continue
            steps = [f"seed-{seed}/{one.name}" for one in chain(arm.name) if one.start or one == arm]
            took = sum(seconds[step] for step in steps) if seconds.keys() >= set(steps) else None
            wrong = shares(folder / f"seed-{seed}" / "reranked" / arm.name)
            found[arm.name][seed] = Result(scores, wrong, took)
    first = _per_query(folder / "scores" / "bm25.json")
    return (None if first is None else Result(first)), found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _per_query(path: Path) -> dict[str, float] | None:
    report = _read(path)
    if report is None:
        return None
    return {query: 100 * values[MEASURE] for query, values in report["per_query"].items()}


def compared(first: Result | None, results: Mapping[str, Mapping[int, Result]]) -> list[Line]:
    """The first stage and every arm, in the table's order; InputError when nothing is there."""
    if first is None and not any(results.values()):
        raise InputError("no results yet: run it without --table")
    main = results.get(MAIN, {})
    start = dict.fromkeys(main, first) if first is not None else {}
    lines = [Line(FIRST_STAGE, PAPER_FIRST_STAGE, {})]
    if first is not None:
        mean = bootstrap_mean(list(first.per_query.values()))
        lines = [Line(FIRST_STAGE, PAPER_FIRST_STAGE, {}, mean, difference=_difference(start, main))]
    return lines + [_line(arm.title, arm.paper, results.get(arm.name, {}), main) for arm in ARMS]


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
        *(_mean([getattr(r.shares, name, None) for r in own.values()]) for name in SHARES),
        _mean([result.seconds for result in own.values()]),
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


def rows(lines: Sequence[Line], seeds: Sequence[int]) -> list[list[str]]:
    """The table's cells, its head first."""
    head = [
        "arm", *(f"seed {seed}" for seed in seeds), "mean", "95% interval", "sd", "vs SFT + RL", "95% interval",
        "paper", "vs SFT + RL", "complete", "concept", "on top", "training, s",
    ]  # fmt: skip
    return [head, *(_cells(line, seeds) for line in lines)]


def _cells(line: Line, seeds: Sequence[int]) -> list[str]:
    mean, difference = line.mean, line.difference
    paper = line.paper
    return [
        line.title,
        *(_number(line.seeds.get(seed)) for seed in seeds),
        _number(mean.mean) if mean else "not run",
        f"{mean.low:.2f}..{mean.high:.2f}" if mean else "-",
        _number(line.spread),
        _number(difference.mean, "+.2f") if difference else "-",
        f"{difference.low:+.2f}..{difference.high:+.2f}" if difference else "-",
        _number(paper),
        "-" if paper is None or paper == PAPER_MAIN else f"{paper - PAPER_MAIN:+.2f}",
        *(_number(getattr(line, name), ".1%") for name in SHARES),
        _number(line.seconds, ".0f"),
    ]


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def text(lines: Sequence[Line], seeds: Sequence[int]) -> str:
    """The table in aligned columns, the first to the left."""
    cells = rows(lines, seeds)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    )


def markdown(lines: Sequence[Line], seeds: Sequence[int]) -> str:
    """The table in Markdown."""
    head, *body = (" | ".join(row) for row in rows(lines, seeds))
    rule = " | ".join(["---", *["---:"] * head.count("|")])
    return "\n".join(f"| {row} |" for row in (head, rule, *body))


def notes(folder: Path, seeds: Sequence[int]) -> list[str]:
    """What the table's figures are, a paragraph each."""
    settings = _read(folder / "settings.json") or {}
    kinds = {arm.data: arm for arm in ARMS if arm.stage == "sft" and arm.start}
    counts = [
        f"{examples['kept']:,} {kind}"
        for kind, arm in kinds.items()
        if (examples := _trained(folder, arm.name, seeds).get("examples"))
    ]
    found = [
        f"100 {MEASURE} on nano/test: BM25's candidates reranked by a network trained from nothing. The interval of a "
        "mean is a bootstrap over queries of the mean over seeds, that of a difference is paired by query; sd is over "
        "seeds; training counts an arm's own stages, after the exercises that all arms start from.",
        "Paper: ReasonRank-7B on BRIGHT (arXiv 2508.07050), another task and another size: the figures are not "
        "comparable, the order of the arms may be.",
        "Of the windows that show something relevant: complete, answered with every passage once; concept, named right "
        "in the reasoning; on top, of those with the right concept, all relevant passages first.",
        f"Teacher's noise {settings.get('noise')}; lists: {', '.join(counts) or 'none yet'}.",
    ]
    return ["**A rehearsal: these figures mean nothing.**", *found] if settings.get("rehearse") else found


def _trained(folder: Path, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """The manifest of an arm's training with the first seed that is there."""
    paths = (folder / f"seed-{seed}" / arm / "manifest.json" for seed in seeds)
    return next((manifest for path in paths if (manifest := _read(path))), {})
