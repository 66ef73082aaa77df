"""`reasonrank reproduce` over the real runs of BRIGHT: the authors' first stage, and a judge without errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_world import REAL, real_world
from hub_server import HubServer
from reproduce_kit import Machine, ours, table


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    world = real_world(tmp_path_factory.mktemp("real"), shared)
    with HubServer(world.files) as hub:
        yield Machine(world, hub)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("plain", {"biology": 43.49, "earth-science": 43.00, "economics": 32.65, "stackoverflow": 30.96,
                   "leetcode": 31.68, "theoremqa-theorems": 36.68}),
        ("fixed", {"biology": 44.19, "earth-science": 43.41, "economics": 32.65, "stackoverflow": 31.85,
                   "leetcode": 31.68, "theoremqa-theorems": 36.68}),
    ],
)  # fmt: skip
def test_the_authors_first_stage_rows(
    real: Machine, tmp_path: Path, kind: str, expected: dict[str, float]
) -> None:
    tasks = ("--tasks", *REAL)
    done = real.run(
        "reproduce", "bright", "--condition", "reasonir", *tasks, "--qrels-kind", kind, "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert {task: round(score, 2) for task, score in ours(tmp_path).items()} == expected
    assert all(row["low"] < row["ours"] < row["high"] for row in table(tmp_path)["rows"])
    if kind == "plain":
        assert {row["verdict"] for row in table(tmp_path)["rows"]} == {"ok"}


def test_a_perfect_judge_reaches_the_ideal_in_sliding_windows(real: Machine, tmp_path: Path) -> None:
    tasks = ("--tasks", *REAL, "--judge", "oracle")
    assert real.run("reproduce", "bright", *tasks, "-o", tmp_path / "sliding").returncode == 0
    whole = ("--window", "100", "--step", "50")
    assert real.run("reproduce", "bright", *tasks, *whole, "-o", tmp_path / "ideal").returncode == 0
    assert real.run("reproduce", "bright", *tasks, "--depth", "20", "-o", tmp_path / "single").returncode == 0
    sliding, ideal, single = (ours(tmp_path / name) for name in ("sliding", "ideal", "single"))
    assert sliding == ideal
    assert (round(sliding["biology"], 2), round(sliding["stackoverflow"], 2)) == (86.57, 81.78)
    assert all(single[task] < ideal[task] for task in ideal)
