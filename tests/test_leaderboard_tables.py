"""A leaderboard as text, Markdown, LaTeX and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from leaderboard_kit import SEVEN, TASKS, result

from reasonrank_pyserini.reproduce.conditions import BENCHMARKS, find_condition
from reasonrank_pyserini.reproduce.leaderboard import Leaderboard, leaderboard
from reasonrank_pyserini.reproduce.leaderboard_tables import (
    latex_rows,
    leaderboard_record,
    markdown_table,
    text_table,
)


def small() -> Leaderboard:
    return leaderboard(SEVEN, [result("biology", 56.0, first=43.5), result("pony", 30.0, first=30.0)])


def test_text() -> None:
    lines = text_table(small()).splitlines()
    assert lines[0] == "BRIGHT, nDCG@10 x 100, plain judgements"
    assert lines[1] == (
        "ReasonRank-7B (condition reasonrank-7b, window 20, step 10); published: arXiv 2508.07050"
    )
    assert [" ".join(line.split()) for line in lines[4:7]] == [
        "biology 4 43.50 56.00 56.00..56.00 56.70 -0.70 ok 4/0/0 <0.001",
        "pony 4 30.00 30.00 30.00..30.00 24.95 +5.05 off 0/0/4 1.000",
        "average of 2 of 12 8 36.75 43.00 43.00..43.00 40.83 +2.17 close 4/0/4 -",
    ]
    assert lines[8] == "within tolerance: no (1.5 per task, 1.22 on the average)"
    assert "* Training of ReasonRank used BRIGHT's LeetCode corpus." in lines
    assert "* Candidates: ReasonIR-8B, GPT-4 queries, top 100." in lines
    cells = zip(lines[3:7], ("published", "56.70", "24.95", "40.83"), strict=True)
    assert len({line.index(cell) + len(cell) for line, cell in cells}) == 1  # columns are aligned


def test_markdown() -> None:
    board = leaderboard(replace(SEVEN, label="a|b <c> *d*\n| x"), [result("pony", 25.0)])
    lines = markdown_table(board).splitlines()
    assert r"a\|b \<c\> \*d\* \| x (condition" in lines[2]
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert rows[2] == "| pony | 4 | - | 25.00 | 25.00..25.00 | 24.95 | +0.05 | ok | - | - |"
    assert rows[3].startswith("| **average of 1 of 12** | **4** |")


def test_latex_in_both_orders() -> None:
    lines = latex_rows(small()).splitlines()
    bright = BENCHMARKS["bright"]
    paper, own = lines.index("% order of the paper"), lines.index("% order of BRIGHT")
    assert (
        lines[paper + 1] == " & ".join(["Model", *(bright.labels[task] for task in TASKS), "Avg."]) + r" \\"
    )
    assert (
        lines[own + 1]
        == " & ".join(["Model", *(bright.labels[task] for task in bright.own_order), "Avg."]) + r" \\"
    )
    for start, tasks in ((paper, TASKS), (own, bright.own_order)):
        ours = {"biology": "56.00", "pony": "30.00"}
        cells = ["ReasonRank-7B", *(ours.get(task, "--") for task in tasks), "43.00"]
        assert lines[start + 4] == " & ".join(cells) + r" \\"


def test_latex_holds_whatever_a_label_holds() -> None:
    board = leaderboard(replace(SEVEN, label="50% of_a & b #1 {x} ~ ^ \\ $\nnext"), [result("pony", 25.0)])
    escaped = r"50\% of\_a \& b \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \$ next & --"
    lines = latex_rows(board).splitlines()
    assert sum(line.startswith(escaped) for line in lines) == 2
    assert all(line.startswith("%") or line.endswith(r"\\") for line in lines)


def test_one_order_is_printed_once() -> None:
    board = leaderboard(find_condition("beir", "reasonrank-7b"), [result("scifact", 75.0)])
    assert latex_rows(board).count("Model &") == 1


def test_json() -> None:
    board = small()
    found = json.loads(json.dumps(leaderboard_record(board), allow_nan=False))
    assert (found["condition"], found["qrels_kind"], found["source"]) == (
        "reasonrank-7b",
        "plain",
        "arXiv 2508.07050",
    )
    names = ["task", "queries", "first_stage", "ours", "published", "difference", "low", "high", "verdict"]
    assert [[row[name] for name in names] for row in (*found["rows"], found["average"])] == [
        [getattr(row, name) for name in names] for row in (*board.rows, board.average)
    ]
    assert (found["partial"], found["within_tolerance"]) == (True, False)
    assert found["footnotes"] == list(board.footnotes)
