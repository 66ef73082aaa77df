"""The ablation of eval/nano: its plan, its runner and its table; nothing is trained here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.errors import InputError, ReasonRankError, UnknownNameError

FOLDER = Path(__file__).parents[1] / "eval" / "nano"
sys.path.insert(0, str(FOLDER))
try:
    import arms
    import errors
    import lists
    import plan
    import results
    import running
    import table
finally:
    sys.path.remove(str(FOLDER))


def test_an_arm_comes_after_what_it_is_trained_from() -> None:
    names = [arm.name for arm in arms.with_starts(["grpo-web", "grpo"])]
    assert names == ["base", "sft-web", "grpo-web", "sft", "grpo"]
    kinds = arms.kinds(arms.with_starts(["grpo-web"]))
    assert list(kinds) == ["web"]
    with pytest.raises(UnknownNameError, match="unknown arm 'grop': did you mean 'grpo'"):
        arms.with_starts(["grop"])


def test_trainings_differ_in_what_the_arm_says(tmp_path: Path) -> None:
    def training(name: str) -> list[str]:
        return list(plan.arm_steps(tmp_path, arms.chain(name)[-1], 7, ("grpo.rounds=3",), ())[0].arguments)

    whole, ndcg = training("grpo"), training("grpo-ndcg")
    at = whole.index("seed=7") + 1 + len(arms.STAGE_SETTINGS["grpo"])
    assert ndcg[at : at + 2] == ["recall_weight=0", "rbo_weight=0"]
    assert ndcg[:at] + ndcg[at + 2 : -1] == whole[:-1]
    assert whole[whole.index("--model") + 1] == str(tmp_path / "seed-7" / "sft")
    assert "--model" not in training("base")


def test_the_shipped_model_has_lists_and_steps_of_its_own(tmp_path: Path) -> None:
    """Nothing that the ablation makes is made in another way for it, and the last of two settings holds."""

    def made(wanted: Sequence[arms.Arm]) -> dict[str, str]:
        steps = plan.list_steps(tmp_path, arms.kinds(arms.with_starts(arm.name for arm in wanted)), "", ())
        return {step.name: step.arguments[step.arguments.index("--pool") + 1] for step in steps}

    ablation, shipped = made(arms.ARMS), made(arms.SHIPPED)
    names = [f"lists/{made}-{size}" for made in ("filter", "no-filter") for size in (10, 7)]
    assert ablation == dict.fromkeys(names, "20")
    assert shipped == {f"lists/filter-{size}-of-30": "30" for size in range(2, 11)}
    for arm, last in zip(arms.SHIPPED, ("steps=540", "rounds=60"), strict=True):
        arguments = plan.arm_steps(tmp_path, arm, 1, (), ())[0].arguments
        assert arguments[-3:] == (last, "-o", str(tmp_path / "seed-1" / arm.name))
    noted = [plan.settings((), False, wanted) for wanted in (arms.ARMS, (*arms.ARMS, *arms.SHIPPED))]
    assert noted[1].keys() - noted[0].keys() == {"shipped"}


def test_a_curve_has_the_start_and_every_checkpoint(tmp_path: Path) -> None:
    trained = plan.model_of(tmp_path, "grpo", 1)
    for number in (20, 40, 120):
        (trained / "checkpoints" / f"checkpoint-{number}").mkdir(parents=True)
    trained_arms = [arms.chain(name)[-1] for name in ("sft", "grpo")]
    steps = plan.curve_steps(tmp_path, [1], trained_arms)
    models = [step.arguments[step.arguments.index("--model") + 1] for step in steps]
    assert models == [
        str(plan.model_of(tmp_path, "sft", 1)),
        *(str(trained / "checkpoints" / f"checkpoint-{number}") for number in (20, 40, 120)),
    ]
    assert [int(step.makes.stem) for step in steps] == [0, 20, 40, 120]


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


def result(*values: float, complete: float = 1.0) -> results.Result:
    wrong = errors.Shares(complete, concept=0.9, on_top=0.8, early=0.7)
    return results.Result({f"q{n}": value for n, value in enumerate(values)}, wrong, 60.0)


FOUND = results.Results(
    result(10, 20),
    {
        "grpo": {1: result(80, 60), 2: result(90, 70, complete=0.5)},
        "sft": {1: result(70, 50), 3: result(0, 0)},
        "base": {arms.BASE_SEED: result(30, 30)},
    },
)


def test_lines_of_means_spreads_and_paired_differences() -> None:
    lines = {line.title: line for line in results.compared({"test": FOUND})["test"]}
    whole, sft, first = lines["SFT + RL"], lines["SFT only"], lines["first stage"]
    base = lines["before: exercises only"]
    assert whole.mean is not None
    assert whole.mean.mean == (80 + 60 + 90 + 70) / 4
    assert (whole.mean.low, whole.mean.high) == ((60 + 70) / 2, (80 + 90) / 2)
    assert whole.seeds == {1: (80 + 60) / 2, 2: (90 + 70) / 2}
    assert whole.spread == pytest.approx(((75 - 70) ** 2 + (75 - 80) ** 2) ** 0.5)
    assert (whole.difference, whole.complete, whole.concept) == (None, (1 + 0.5) / 2, 0.9)
    assert (whole.early, whole.late) == (0.7, None)
    assert sft.difference is not None  # over seed 1, which both have
    assert (sft.difference.mean, sft.difference.low, sft.difference.high) == (-10, -10, -10)
    assert first.difference is not None
    assert first.difference.mean == (10 + 20) / 2 - 75
    assert base.difference is not None
    assert (base.seeds, base.difference.mean) == ({}, 30 - 75)
    assert (first.seeds, first.spread, first.early) == ({}, None, 0.7)


def test_tables_of_both_splits_next_to_the_paper() -> None:
    both = results.compared({"test": FOUND, "test-settings": FOUND})
    lines = both["test"]
    head, *rows = table.overview(both)
    places = [number for number, title in enumerate(head) if title == "place"]
    by_arm = {row[0]: row for row in rows}
    assert [by_arm["SFT + RL"][at] for at in places] == ["1", "1", "1"]
    assert [by_arm["SFT only"][at] for at in places] == ["2", "2", "4"]  # 35.74, 34.20 twice, 33.15
    assert [by_arm["first stage"][at] for at in places] == ["3", "3", "5"]
    assert [by_arm["SFT only"][head.index("paper") + n] for n in (0, 1)] == ["33.15", "-2.59"]
    assert [row[1] for row in rows].count("not run") == len(arms.ARMS) - 3
    head, *rows = table.details(lines, [1, 2, 3])
    row = dict(zip(head, next(row for row in rows if row[0] == "SFT only"), strict=True))
    assert (row["seed 1"], row["seed 2"], row["seed 3"]) == ("60.00", "-", "0.00")
    assert (row["found early"], row["found late"]) == ("70.0%", "-")


def test_the_shipped_model_has_a_row_where_one_split_has_it() -> None:
    shipped = arms.SHIPPED[0]
    other = replace(FOUND, arms={**FOUND.arms, shipped.name: {1: result(50, 70)}})
    _, *rows = table.overview(results.compared({"test-settings": other, "test": FOUND}))
    assert [row[0] for row in rows][len(arms.ARMS) + 1 :] == [shipped.title]
    assert (rows[-1][1], rows[-1][6]) == ("60.00", "not run")


def test_no_list_serves_two_purposes(tmp_path: Path) -> None:
    """Rows of every topic and size go by topic, and the lists of a batch have one size."""
    ids = [topic.id for topic in World.load().topics("train")]
    seen = arms.kinds((*arms.ARMS, *arms.SHIPPED))
    for step in plan.list_steps(tmp_path, seen, "", ()):
        folder = step.makes.parent
        size = int(step.arguments[step.arguments.index("--list-size") + 1])
        folder.mkdir(parents=True)
        for name in ("sft.jsonl", "rl.jsonl"):
            rows = [{"id": id, "size": size} for id in ids]
            (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    lists.write_data(tmp_path, [1, 2], seen)
    found = {
        path.relative_to(tmp_path / "data").as_posix(): [
            json.loads(line) for line in path.read_text().splitlines()
        ]
        for path in (tmp_path / "data").rglob("*.jsonl")
    }
    assert set(found) == {
        "held-out.jsonl", *(f"{kind}/{name}.jsonl" for kind in arms.KINDS for name in ("sft-1", "sft-2", "rl"))
    }  # fmt: skip
    tuned, reinforced = found["all/sft-1.jsonl"], found["all/rl.jsonl"]
    other = found["all/sft-2.jsonl"]
    assert tuned != other
    assert sorted(map(json.dumps, tuned)) == sorted(map(json.dumps, other))
    assert len(tuned) == plan.FINE_TUNED * len(arms.KINDS["all"].sizes)
    assert len(reinforced) == len(ids) - plan.FINE_TUNED - plan.HELD_OUT
    topics = [{row["id"] for row in rows} for rows in (tuned, reinforced, found["held-out.jsonl"])]
    assert sum(map(len, topics)) == len(set().union(*topics)) == len(ids)
    batches = [tuned[start : start + lists.BATCH] for start in range(0, len(tuned), lists.BATCH)]
    assert all(len({row["size"] for row in batch}) == 1 for batch in batches)
    every = found["every-size/sft-1.jsonl"], found["every-size/rl.jsonl"]
    assert [sorted({row["size"] for row in rows}) for rows in every] == [list(range(2, 11)), [3, 6, 8, 10]]
    assert [{row["id"] for row in rows} for rows in every] == topics[:2]
    web = {topic.id for topic in World.load().topics("train") if topic.domain == "web"}
    assert [row for row in tuned if row["id"] in web] != []
    assert {row["id"] for row in found["web/sft-1.jsonl"]} == topics[0] & web


def test_markdown_has_a_rule_as_wide_as_its_rows() -> None:
    found = results.compared({"test": results.Results(result(1, 2), {})})
    cells = table.details(found["test"], [1])
    head, rule, *body = table.markdown(cells).splitlines()
    assert len(body) == 1 + len(arms.ARMS)
    assert {line.count("|") for line in (head, rule, *body)} == {len(cells[0]) + 1}


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

    named, wrong = f"The query describes {topic.concept}.", f"The query describes {topic.concept}s."
    fits = f"{topic.concept} fits"
    (tmp_path / "trace.jsonl").write_text(
        line(["a", *good], [*good, "a"], "CLEAN", f"{named} [2] {fits} (2). [3] {fits} (2 3).")
        + line([good[0], "a", good[1]], [good[0], "a", good[1]], "REPAIRED", f"{named} [1] {fits} (1).")
        + line(["a", *good], [*good, "a"], "CLEAN", wrong)
        + line(["a", "b"], ["a", "b"], "FAILED", "")
    )
    expected = errors.Shares(complete=2 / 3, concept=2 / 3, on_top=1 / 2, early=1 / 1, late=2 / 3)
    assert errors.shares(tmp_path, "test") == expected
    assert errors.shares(tmp_path / "none", "test") is None


def test_nothing_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results yet"):
        results.compared({"test": results.read_results(tmp_path, "test", [1])})
