"""nDCG@10, calls, rounds and passages of every strategy under a modelled judge with noise; no model is run.

    python eval/bench/noisy_judge.py FOLDER [--json FILE] [--seeds 5] [--noise 0.4 0.8 1.2] [--resamples 2000]

FOLDER holds runs/<task>.*, qrels/<task>.txt and, where there are any, excluded/<task>.txt ("query docid" a line).
The model is that of `judge_model.py`: the utility of a passage is a x relevant + N(0, 1) - 0.25 ln(1 + rank), a call
adds N(0, noise) to each. `a` is fitted per task and level of noise, so that sliding windows of 20, step 10, give
ReasonRank-7B's published score. `slope` and `noise` of the pooled windows are chosen on every other task by name, at
order noise 0.8: the best of those that keep nine tenths of what sliding windows give with a judge without errors, as
the best of all weigh the first stage so heavily that a better judge could not improve on it (the last of the pooled
rows). The tables are of the remaining tasks. Intervals: 95%, queries resampled within tasks, of the mean of
the tasks and of its difference from sliding windows; a query's values are means over the seeds.

Columns: `errorless` is a judge that orders by the judgements. Rows marked * need a judge that scores passages alone;
the model lets it score with the same noise, which says nothing about a real one. `+ first stage` is fused by
reciprocal ranks. Samples of a window differ only by the order noise: their shuffled orders are for a bias of position,
which the model does not have. Where the model would be wrong is said in eval/results/strategies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from compared_strategies import SCORING, Compared, compared
from judge_model import Case, Spent, World, fitted, judged, published, read_cases
from ratios import write_figures

from reasonrank_pyserini import SlidingWindow
from reasonrank_pyserini.evaluation.statistics import Interval, stratified_mean
from reasonrank_pyserini.strategies import PooledWindows, RankingStrategy, SingleWindow
from reasonrank_pyserini.types import Verdict, Window

SLOPES, NOISES, TUNED_AT = (0.35, 0.5, 0.7, 1.0), (0.4, 0.6, 0.8, 1.0, 1.3, 1.8, 2.5), 0.8
KEPT = 0.9
"""The share of sliding windows' nDCG@10 that pooled windows have to keep with a judge without errors."""


def rows(pooled: PooledWindows, free: PooledWindows) -> list[Compared]:
    """The lines of the table: every strategy, and the pooled windows with the best parameters of all."""
    unbounded = Compared(f"pooled, slope {free.slope}, noise {free.noise}", free)
    return [*compared(pooled=pooled), unbounded, *SCORING]


def task_means(results: Mapping[str, Sequence[Spent]], field: str) -> float:
    return fmean(fmean(getattr(one, field) for one in queries) for queries in results.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """The pooled windows with the best nDCG@10 on the tuning tasks: of those that a better judge can still move (see
    `KEPT`), and of all; and the grid."""

    bounded: PooledWindows
    free: PooledWindows
    grid: list[dict[str, float]]


def chosen(world: World, tasks: Sequence[str], seeds: Sequence[int]) -> Choice:
    """The parameters of the pooled windows, chosen on these tasks."""
    cases = {task: world.cases[task] for task in tasks}
    least = KEPT * errorless(SlidingWindow(), cases, fuse=False)
    grid = []
    for slope, noise in product(SLOPES, NOISES):
        strategy = PooledWindows(slope=slope, noise=noise)
        ndcg = task_means(world.results(strategy, tasks, seeds), "ndcg")
        grid.append(
            {
                "slope": slope,
                "noise": noise,
                "ndcg": ndcg,
                "errorless": errorless(strategy, cases, fuse=False),
            }
        )

    def best(cells: list[dict[str, float]]) -> PooledWindows:
        cell = max(cells, key=lambda cell: cell["ndcg"])
        return PooledWindows(slope=cell["slope"], noise=cell["noise"])

    return Choice(best([cell for cell in grid if cell["errorless"] >= least]), best(grid), grid)


def errorless(strategy: RankingStrategy, cases: Mapping[str, Sequence[Case]], *, fuse: bool) -> float:
    """nDCG@10 with a judge that knows the grades; ties in the order shown."""

    def one(case: Case) -> float:
        def judge(window: Window) -> Verdict:
            seen = [float(case.grades[candidate]) for candidate in window]
            order = sorted(range(len(window)), key=lambda at: -seen[at])
            return Verdict(tuple(order), scores=tuple(seen) if len(window) == 1 else None)

        return judged(strategy, case, judge, fuse=fuse).ndcg

    return fmean(fmean(map(one, queries)) for queries in cases.values())


def table(
    world: World, tasks: Sequence[str], listed: Iterable[Compared], seeds: Sequence[int], resamples: int
) -> list[dict[str, Any]]:
    """Each row's figures on the tasks, at the world's level of noise."""
    lines, base = [], dict[str, list[float]]()
    for row in listed:
        results = world.results(row.strategy, tasks, seeds, fuse=row.fuse)
        values = {task: [100 * one.ndcg for one in found] for task, found in results.items()}
        base = base or values
        gains = {
            task: [one - other for one, other in zip(found, base[task], strict=True)]
            for task, found in values.items()
        }
        lines.append(
            {
                "strategy": row.name,
                "ndcg": stratified_mean(values, samples=resamples),
                "gain": stratified_mean(gains, samples=resamples),
                **{name: task_means(results, name) for name in ("calls", "rounds", "passages")},
                "errorless": 100
                * errorless(row.strategy, {task: world.cases[task] for task in tasks}, fuse=row.fuse),
            }
        )
    return lines


def not_fitted(world: World, tasks: Sequence[str], seeds: Sequence[int]) -> dict[str, float]:
    """Differences of nDCG@10 from sliding windows 20/10 that were published and that the model is not fitted to."""
    base = task_means(world.results(SlidingWindow(), tasks, seeds), "ndcg")
    others: dict[str, RankingStrategy] = {
        "only the top 20": SingleWindow(),
        "windows of 10, step 5": SlidingWindow(10, 5),
    }
    return {
        name: 100 * (task_means(world.results(strategy, tasks, seeds), "ndcg") - base)
        for name, strategy in others.items()
    }


def printed(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines as a Markdown table."""

    def between(interval: Interval) -> str:
        return f"{interval.mean:.1f} [{interval.low:.1f}, {interval.high:.1f}]"

    head = "| strategy | nDCG@10 | against sliding 20/10 | calls | rounds | passages | errorless |"
    body = [
        f"| {line['strategy']} | {between(line['ndcg'])} | {between(line['gain'])} | {line['calls']:.1f} | "
        f"{line['rounds']:.1f} | {line['passages']:.0f} | {line['errorless']:.1f} |"
        for line in lines
    ]
    return "\n".join([head, "| --- | --- | --- | ---: | ---: | ---: | ---: |", *body])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.4, 0.8, 1.2])
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    tasks = sorted(path.name.partition(".")[0] for path in (flags.folder / "runs").iterdir())
    cases = {task: read_cases(flags.folder, task) for task in tasks}
    tuning, held_out, seeds = tasks[::2], tasks[1::2], range(flags.seeds)

    def world(noise: float) -> World:
        a = {task: fitted(found, published(task), noise, seeds) for task, found in cases.items()}
        return World(cases, a, noise)

    print(f"modelled, not measured: chosen on {', '.join(tuning)}; reported on {', '.join(held_out)}")
    tuned = world(TUNED_AT)
    choice, checks = chosen(tuned, tuning, seeds), not_fitted(tuned, tasks, seeds)
    print("not fitted, all tasks: " + ", ".join(f"{name} {gain:+.2f}" for name, gain in checks.items()))
    print(f"pooled windows: slope {choice.bounded.slope}, noise {choice.bounded.noise}")
    first = {task: [case.ndcg(range(len(case.grades))) for case in cases[task]] for task in held_out}
    print(f"first stage: {100 * fmean(map(fmean, first.values())):.1f}")
    tables = {}
    for noise in flags.noise:
        made = world(noise)
        tables[str(noise)] = table(made, held_out, rows(choice.bounded, choice.free), seeds, flags.resamples)
        print(f"\norder noise {noise} (a: {', '.join(f'{task} {a:.2f}' for task, a in made.a.items())})\n")
        print(printed(tables[str(noise)]), flush=True)
    figures = {
        "tuning": tuning,
        "held_out": held_out,
        "not_fitted": checks,
        "grid": choice.grid,
        "tables": tables,
    }
    write_figures(flags.json, figures)


if __name__ == "__main__":
    main()
