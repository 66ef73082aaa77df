"""The ablation of eval/nano: its plan, its runner and its table; nothing is trained here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.errors import InputError, ReasonRankError, UnknownNameError

FOLDER = Path(__file__).parents[1] / "eval" / "nano"
sys.path.insert(0, str(FOLDER))
try:
    import errors
    import plan
    import running
    import table
finally:
    sys.path.remove(str(FOLDER))


def test_an_arm_comes_after_what_it_is_trained_from() -> None:
    names = [arm.name for arm in plan.with_starts(["grpo-web", "grpo"])]
    assert names == ["base", "sft-web", "grpo-web", "sft", "grpo"]
    with pytest.raises(UnknownNameError, match="unknown arm 'grop': did you mean 'grpo'"):
        plan.with_starts(["grop"])


def test_trainings_differ_in_what_the_arm_says(tmp_path: Path) -> None:
    def training(name: str) -> list[str]:
        return list(plan.arm_steps(tmp_path, plan.chain(name)[-1], 7, ("grpo.rounds=3",), ())[0].arguments)

    whole, ndcg = training("grpo"), training("grpo-ndcg")
    at = whole.index("seed=7") + 1
    assert ndcg[at : at + 2] == ["recall_weight=0", "rbo_weight=0"]
    assert ndcg[:at] + ndcg[at + 2 : -1] == whole[:-1]
    assert whole[whole.index("--model") + 1] == str(tmp_path / "seed-7" / "sft")
    assert "--model" not in training("base")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps whose arguments are shell commands."""
    monkeypatch.setattr(running, "COMMAND", ("sh", "-c"))
    monkeypatch.setattr(running, "_LOOK", 0.01)


@pytest.mark.usefixtures("shell")
def test_steps_run_once_and_what_a_failed_one_makes_is_missed(tmp_path: Path) -> None:
    a, b, c, d = (tmp_path / name for name in "abcd")
    steps = [
        running.Step("b", (f"cat {a} {a}",), b, (a,), printed=True),
        running.Step("a", ("echo x",), a, printed=True),
        running.Step("c", ("echo half; exit 3",), c, printed=True),
        running.Step("d", (f"cp {c} {d}",), d, (c,)),
    ]
    said: list[str] = []
    runner = running.Runner(tmp_path, 2, said.append)
    with pytest.raises(ReasonRankError, match="failed: c; 1 steps that need them were left out"):
        runner.run(steps)
    assert b.read_text() == "x\nx\n"
    assert not c.exists()
    assert sorted(running.total_seconds(tmp_path)) == ["a", "b", "c"]
    said.clear()
    runner.run(steps[:2])
    assert said == []
    os.utime(a, ns=(b.stat().st_mtime_ns + 1, b.stat().st_mtime_ns + 1))
    runner.run(steps[:2])
    assert [line.split()[0] for line in said] == ["b"]


def result(*values: float, complete: float = 1.0) -> table.Result:
    wrong = errors.Shares(complete, concept=0.9, on_top=0.8)
    return table.Result({f"q{n}": value for n, value in enumerate(values)}, wrong, 60.0)


def test_a_table_of_means_spreads_and_paired_differences() -> None:
    results = {
        "grpo": {1: result(80, 60), 2: result(90, 70, complete=0.5)},
        "sft": {1: result(70, 50), 3: result(0, 0)},
    }
    lines = {line.title: line for line in table.compared(result(10, 20), results)}
    whole, sft, first = lines["SFT + RL"], lines["SFT only"], lines["first stage"]
    assert whole.mean is not None
    assert whole.mean.mean == (80 + 60 + 90 + 70) / 4
    assert (whole.mean.low, whole.mean.high) == ((60 + 70) / 2, (80 + 90) / 2)
    assert whole.seeds == {1: (80 + 60) / 2, 2: (90 + 70) / 2}
    assert whole.spread == pytest.approx(((75 - 70) ** 2 + (75 - 80) ** 2) ** 0.5)
    assert (whole.difference, whole.complete, whole.concept) == (None, (1 + 0.5) / 2, 0.9)
    assert sft.difference is not None  # over seed 1, which both have
    assert (sft.difference.mean, sft.difference.low, sft.difference.high) == (-10, -10, -10)
    assert first.difference is not None
    assert first.difference.mean == (10 + 20) / 2 - 75
    head, *rows = table.rows(list(lines.values()), [1, 2, 3])
    row = dict(zip(head[:6], next(row for row in rows if row[0] == "SFT only"), strict=False))
    assert row == {"arm": "SFT only", "seed 1": "60.00", "seed 2": "-", "seed 3": "0.00", "mean": "30.00",
                   "95% interval": "25.00..35.00"}  # fmt: skip
    assert [row[4] for row in rows].count("not run") == len(plan.ARMS) - 2


def test_markdown_has_a_rule_as_wide_as_its_rows() -> None:
    lines = table.compared(result(1, 2), {})
    head, rule, *body = table.markdown(lines, [1]).splitlines()
    assert len(body) == 1 + len(plan.ARMS)
    assert {line.count("|") for line in (head, rule, *body)} == {len(table.rows(lines, [1])[0]) + 1}


def test_what_went_wrong_is_counted_over_windows_that_show_something_relevant(tmp_path: Path) -> None:
    world = World.load()
    topic = world.topics("test")[0]
    good = [docid for docid, grade in world.qrels("test")[topic.id].items() if grade > 0][:2]

    def line(window: list[str], order: list[str], status: str, reasoning: str) -> str:
        record = {
            "query_id": topic.id,
            "window": window,
            "order": order,
            "status": status,
            "reasoning": reasoning,
        }
        return json.dumps(record) + "\n"

    right, wrong = f"The query describes {topic.concept}.", f"The query describes {topic.concept}s."
    (tmp_path / "trace.jsonl").write_text(
        line(["a", *good], [*good, "a"], "CLEAN", right)
        + line(["a", *good], [good[0], "a", good[1]], "REPAIRED", right)
        + line(["a", *good], [*good, "a"], "CLEAN", wrong)
        + line(["a", "b"], ["a", "b"], "FAILED", "")
    )
    assert errors.shares(tmp_path) == errors.Shares(complete=2 / 3, concept=2 / 3, on_top=1 / 2)
    assert errors.shares(tmp_path / "none") is None


def test_nothing_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results yet"):
        table.compared(*table.read_results(tmp_path, [1]))
