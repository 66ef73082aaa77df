from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from leaderboard_kit import SEVEN, TASKS, queries, result

from reasonrank_pyserini.errors import InputError, UnknownNameError
from reasonrank_pyserini.reproduce.conditions import find_condition
from reasonrank_pyserini.reproduce.leaderboard import TaskResult, leaderboard
from reasonrank_pyserini.reproduce.leaderboard_tables import (
    text_table,
)
from reasonrank_pyserini.runfile import read_qrels, read_run
from reasonrank_pyserini.scoring import score

SAMPLED = find_condition("bright", "reasonrank-8b")


def verdict_of(difference: float, spread: float = 0.0) -> str:
    (row,) = leaderboard(SEVEN, [result("aops", 7.68 + difference, spread=spread)]).rows
    return row.verdict


# ---- rows and verdicts


def test_a_row() -> None:
    (row,) = leaderboard(SEVEN, [result("biology", 57.0, first=43.5, spread=10)]).rows
    assert (row.task, row.label, row.queries) == ("biology", "Bio.", 4)
    assert (row.first_stage, row.ours, row.published) == (pytest.approx(43.5), pytest.approx(57.0), 56.70)
    assert row.difference == pytest.approx(57.0 - 56.70)
    assert row.low < row.ours < row.high
    assert (row.low, row.high) == (pytest.approx(57.0 - 10), pytest.approx(57.0 + 10))  # four coins
    assert (row.helped, row.hurt, row.unchanged) == (4, 0, 0)


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [(0.0, "ok"), (1.5, "ok"), (-1.5, "ok"), (1.6, "close"), (-3.0, "close"), (3.1, "off"), (-3.1, "off")],
)
def test_verdicts(difference: float, verdict: str) -> None:
    assert verdict_of(difference) == verdict


def test_an_interval_that_covers_the_published_number_is_close() -> None:
    assert (verdict_of(5.0, spread=3.0), verdict_of(5.0, spread=8.0)) == ("off", "close")


def test_nothing_published_gives_no_verdict() -> None:
    published = {task: value for task, value in SEVEN.published.items() if task != "aops"}
    board = leaderboard(replace(SEVEN, published=published), [result("aops", 7.0), result("pony", 25.0)])
    assert [(row.task, row.published, row.verdict) for row in board.rows] == [
        ("pony", 24.95, "ok"),
        ("aops", None, "-"),
    ]
    assert (board.average.published, board.average.verdict, board.within_tolerance) == (None, "-", None)


def test_sampled_conditions_are_never_judged_from_one_run() -> None:
    for means, verdict in (((24.0,), "one run"), ((24.0, 24.5), "2 runs"), ((24.0, 24.5, 24.1), "ok")):
        board = leaderboard(SAMPLED, [result("leetcode", *means)])
        assert board.rows[0].verdict == board.average.verdict == verdict
        assert board.rows[0].ours == pytest.approx(sum(means) / len(means))
        assert board.rows[0].runs == pytest.approx(means)
        assert board.within_tolerance is (None if len(means) < 3 else True)
        assert any(note.startswith("The model samples") for note in board.footnotes)
    assert leaderboard(SEVEN, [result("leetcode", 23.2)]).rows[0].verdict == "ok"


def test_helped_and_hurt_with_p_values_corrected_over_the_tasks() -> None:
    stage = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.3}
    ours = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.6}
    one = leaderboard(SEVEN, [TaskResult("pony", stage, (ours,))]).rows[0]
    assert (one.helped, one.hurt, one.unchanged) == (2, 1, 1)
    two = leaderboard(SEVEN, [TaskResult("pony", stage, (ours,)), TaskResult("aops", stage, (ours,))])
    assert [row.p for row in two.rows] == pytest.approx([min(1.0, 2 * (one.p or 0))] * 2)
    assert (two.average.helped, two.average.hurt, two.average.unchanged) == (4, 2, 2)


# ---- the average


def complete(shift: float = 0.0) -> list[TaskResult]:
    return [result(task, SEVEN.published[task] + shift, first=20.0, spread=5.0) for task in reversed(TASKS)]


def test_the_average_over_all_tasks_is_compared_with_the_printed_one() -> None:
    board = leaderboard(SEVEN, complete())
    assert tuple(row.task for row in board.rows) == TASKS
    assert (board.partial, board.average.published, board.average.queries) == (False, 35.74, 12 * 4)
    assert board.average.ours == pytest.approx(sum(SEVEN.published.values()) / 12)
    assert board.average.first_stage == pytest.approx(20.0)
    assert board.within_tolerance is True
    # queries are resampled within the tasks: an average of 12 is surer than a task
    widths = [row.high - row.low for row in (board.average, board.rows[0])]
    assert widths[0] < 0.5 * widths[1]


def test_every_task_weighs_the_same_whatever_its_size() -> None:
    sizes = [
        TaskResult("pony", None, (queries(20, count=2),)),
        TaskResult("aops", None, (queries(10, count=9),)),
    ]
    assert leaderboard(SEVEN, sizes).average.ours == pytest.approx((20 + 10) / 2)


def test_a_part_is_compared_with_the_same_tasks() -> None:
    board = leaderboard(SEVEN, [result("biology", 56.0, first=40.0), result("pony", 25.0)])
    assert board.partial
    assert board.average.published == pytest.approx((56.70 + 24.95) / 2)
    assert board.average.first_stage is None  # of one task only
    assert "2 of 12" in board.footnotes[0]
    assert "average of 2 of 12" in text_table(board)
    # the tolerance grows with sqrt(12 / 2), but never beyond a task's
    assert board.average_tolerance == pytest.approx(min(1.5, 0.5 * (12 / 2) ** 0.5))
    assert leaderboard(SEVEN, complete()).average_tolerance == 0.5
    assert leaderboard(SEVEN, [result("pony", 25.0)]).average_tolerance == 1.5


@pytest.mark.parametrize(("shift", "within"), [(0.4, True), (-0.4, True), (0.6, False), (-2.0, False)])
def test_within_tolerance_is_the_average_s(shift: float, within: bool) -> None:
    assert leaderboard(SEVEN, complete(shift)).within_tolerance is within


def test_one_task_that_is_off_is_not_within_tolerance() -> None:
    results = complete()
    results[0] = result(results[0].task, SEVEN.published[results[0].task] + 4)
    board = leaderboard(SEVEN, results)
    assert (board.average.verdict, board.rows[-1].verdict, board.within_tolerance) == ("ok", "off", False)


def test_the_known_rerun_of_the_7b_is_a_reproduction() -> None:
    rerun = find_condition("bright", "reasonrank-7b-rerun").published
    board = leaderboard(SEVEN, [result(task, value) for task, value in rerun.items()])
    assert {row.task for row in board.rows if row.verdict == "close"} == {
        "robotics",  # 29.32 - 31.22
        "stackoverflow",  # 30.66 - 32.47
        "theoremqa-theorems",  # 43.33 - 41.80
    }
    assert (board.average.verdict, board.within_tolerance) == ("ok", True)


def test_other_judgements_than_the_published_ones_get_no_verdicts() -> None:
    board = leaderboard(replace(SEVEN, qrels_kind="fixed"), complete())
    assert {row.verdict for row in (*board.rows, board.average)} == {"-"}
    assert board.within_tolerance is None
    assert any("hold for the plain judgements" in note for note in board.footnotes)
    assert "fixed judgements" in text_table(board)


def test_the_seed_decides() -> None:
    results = [TaskResult("pony", None, ({f"q{at}": at / 50 for at in range(50)},))]
    assert leaderboard(SEVEN, results, seed=1) == leaderboard(SEVEN, results, seed=1)
    assert leaderboard(SEVEN, results, seed=1) != leaderboard(SEVEN, results, seed=2)


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ([], "none were given"),
        ([result("pony", 1.0), result("pony", 2.0)], "a task was given twice"),
        ([TaskResult("pony", None, ())], "pony: no query was scored"),
        ([TaskResult("pony", None, ({},))], "pony: no query was scored"),
        (
            [TaskResult("pony", None, (queries(1), queries(1, count=3)))],
            "pony: the runs were scored over different queries",
        ),
        (
            [TaskResult("pony", queries(1, count=3), (queries(1),))],
            "pony: the runs were scored over different queries",
        ),
    ],
)
def test_results_that_make_no_table(results: list[TaskResult], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        leaderboard(SEVEN, results)


def test_a_task_of_another_benchmark() -> None:
    with pytest.raises(UnknownNameError, match="unknown BRIGHT task 'scifact'"):
        leaderboard(SEVEN, [result("scifact", 1.0)])


# ---- real runs


@pytest.mark.parametrize(
    ("kind", "figures"),
    [
        ("plain", {"biology": 43.49, "earth-science": 43.00, "stackoverflow": 30.96}),
        ("fixed", {"biology": 44.19, "earth-science": 43.41, "stackoverflow": 31.85}),
    ],
)
def test_the_first_stage_of_bright(shared: Path, kind: str, figures: dict[str, float]) -> None:
    figures = {"economics": 32.65, "leetcode": 31.68, "theoremqa-theorems": 36.68, **figures}
    results = []
    for task in figures:
        name = task.replace("-", "_")
        run = read_run(shared / "bright" / "runs" / f"{name}.reasonir_gpt4cot_top100.txt")
        suffix = ".fixed.txt" if kind == "fixed" else ".txt"
        scores = score(read_qrels(shared / "bright" / "qrels" / f"{name}{suffix}"), run, ["nDCG@10"])
        values = {query: found["nDCG@10"] for query, found in scores.per_query.items()}
        results.append(TaskResult(task, values, (values,)))
    board = leaderboard(replace(find_condition("bright", "reasonir"), qrels_kind=kind), results)
    assert {row.task: round(row.ours, 2) for row in board.rows} == figures
    assert {row.task: round(row.first_stage or 0, 2) for row in board.rows} == figures
    for row in board.rows:
        assert 4 < row.ours - row.low < 10
        assert 4 < row.high - row.ours < 10
    assert board.average.ours == pytest.approx(sum(figures.values()) / 6, abs=0.005)
    assert 2 < board.average.high - board.average.ours < 4
    assert {row.verdict for row in board.rows} == {"ok" if kind == "plain" else "-"}
    assert board.within_tolerance is (True if kind == "plain" else None)
