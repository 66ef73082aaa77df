"""Strategies against recorded runs of the authors' code, row by row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import cycle, islice
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from reasonrank_pyserini.strategies import Groups, RankingStrategy, Setwise, TwoPass
from reasonrank_pyserini.types import ParseStatus, Verdict, Window


def rows(shared: Path, name: str, kind: str) -> list[dict[str, Any]]:
    """The recorded rows of a kind; skips where there are none."""
    path = shared / "golden" / "rankers" / f"{name}.scores.jsonl"
    if not path.is_file():
        pytest.skip(f"no recorded runs at {path}")
    return [row for row in map(json.loads, path.read_text().splitlines()) if row["kind"] == kind]


def driven(strategy: RankingStrategy, n: int, judge: Any) -> tuple[int, ...]:
    flow = strategy.rank(n)
    try:
        windows = next(flow)
        while True:
            windows = flow.send([judge(window) for window in windows])
    except StopIteration as end:
        return end.value


def heapsorts(shared: Path) -> list[dict[str, Any]]:
    """The recorded heapsorts that ended, with one call a comparison."""
    sorts = (row for row in rows(shared, "rank-r1", "sort") if row["raises"] is None)
    return [row for row in sorts if row["method"] == "heapsort" and row["num_permutation"] == 1]


def chosen(window: Window, shown: list[str], label: str | None) -> Verdict:
    """The verdict of a recorded comparison; without a label it could not be read."""
    order = list(range(len(window)))
    if label is None:
        return Verdict(tuple(order), ParseStatus.FAILED)
    best = window.index(int(shown[int(label.strip("[]")) - 1].removeprefix("d")))
    order.remove(best)
    return Verdict((best, *order))


def test_the_authors_heapsort(shared: Path) -> None:
    cases = heapsorts(shared)
    assert cases
    for row in cases:
        calls = iter(row["calls"])

        def judge(window: Window, calls: Iterator[Any] = calls, row: Any = row) -> Verdict:
            shown, label = next(calls)
            assert {f"d{one}" for one in window} == set(shown), row["id"]
            return chosen(window, shown, label)

        strategy = Setwise(k=row["k"], children=row["num_child"], compat=True)
        order = driven(strategy, row["n"], judge)
        assert next(calls, None) is None, row["id"]
        assert [f"d{one}" for one in order] == [name for name, _ in row["ranking"]], row["id"]
        assert row["total_compare"] <= strategy.calls(row["n"])


def test_heapsort_in_parallel_makes_the_same_comparisons(shared: Path) -> None:
    cases = [row for row in heapsorts(shared) if row["rule"] == "perfect"]
    assert cases
    for row in cases:
        answers = {frozenset(shown): (shown, label) for shown, label in row["calls"]}
        made = []

        def judge(window: Window, answers: Any = answers, made: Any = made) -> Verdict:
            made.append(frozenset(f"d{one}" for one in window))
            return chosen(window, *answers[made[-1]])

        order = driven(Setwise(k=row["k"], children=row["num_child"]), row["n"], judge)
        assert sorted(map(sorted, made)) == sorted(sorted(shown) for shown, _ in row["calls"]), row["id"]
        assert [f"d{one}" for one in order] == [name for name, _ in row["ranking"]], row["id"]


def group_scores(response: str, size: int) -> tuple[float, ...] | None:
    """The scores of a plain recorded answer in shown order, NaN for a passage without one."""
    found = re.search(r"```json\s*(\{.*?\})\s*```", response, re.DOTALL)
    if found is None:
        return None
    scores = json.loads(found[1])
    return tuple(scores.get(f"[{place + 1}]", nan * 10) / 10 for place in range(size))


def test_the_authors_groups_of_one_query(shared: Path) -> None:
    cases = [
        row
        for row in rows(shared, "diver-grouprank", "epochs")
        if len(row["qids"]) == 1 and row["interval"] == row["group_size"]
    ]
    assert cases
    for row in cases:
        n, responses = len(row["docids"]), iter(row["responses"])
        strategy = Groups(row["group_size"], row["num_epoch"], seed=row["seed"], compat=True)
        recorded = [group["docids"] for epoch in row["epochs"] for group in epoch]
        assert [[row["docids"][one] for one in window] for window in strategy.windows(n)] == recorded, row[
            "id"
        ]

        def judge(window: Window, responses: Iterator[str] = responses) -> Verdict:
            scores = group_scores(next(responses), len(window))
            status = ParseStatus.CLEAN if scores is not None else ParseStatus.FAILED
            return Verdict(tuple(range(len(window))), status, scores)

        order = [row["docids"][one] for one in driven(strategy, n, judge)]
        ((_, result),) = row["result"].items()
        assert order[: len(result)] == [name for name, _ in result], row["id"]
        assert len(order) == n  # the authors' code loses those that were never scored


def test_the_authors_two_passes(shared: Path) -> None:
    cases = rows(shared, "retro-star", "two-pass")
    assert cases
    for row in cases:
        if row["raises"] is not None:
            continue
        first, second = row["passes"]
        best, samples = map(int, re.findall(r"\d+", second["path"].split()[-1]))
        for query, scores in first["scores"].items():
            names = [name for name, _ in scores]
            again = {
                name: list(islice(cycle(given if isinstance(given, list) else [given]), samples))
                for name, given in second["scores"][query]
            }
            once, shown = dict(scores), list[str]()

            def judge(window: Window, names: Any = names, once: Any = once, again: Any = again,
                      shown: list[str] = shown) -> Verdict:  # fmt: skip
                name = names[window[0]]
                score = once.pop(name) if name in once else again[name].pop()
                shown.append(name)
                return Verdict((0,), scores=None if score is None else (float(score),))

            means = {name: fmean(score or 0 for score in given) for name, given in again.items()}
            assert means == pytest.approx(dict(second["result"][query])), row["id"]
            order = [names[one] for one in driven(TwoPass(best, samples, compat=True), len(names), judge)]
            if len(names) > 1:
                assert list(dict.fromkeys(shown[len(names) :])) == [
                    name for name, _ in second["scores"][query]
                ]
            by_mean = sorted(second["result"][query], key=lambda scored: -scored[1])
            assert order[: len(by_mean)] == [name for name, _ in by_mean], row["id"]
            assert sorted(order) == sorted(names)
