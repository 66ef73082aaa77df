"""A leaderboard as aligned text, Markdown, LaTeX rows and JSON values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .leaderboard import Leaderboard, Row

_HEAD = (
    "task", "queries", "first stage", "ours", "95% interval", "published", "diff", "verdict", "helped/hurt/same", "p",
)  # fmt: skip
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{one: "\\" + one for one in "&%$#_{}"},
}


def text_table(board: Leaderboard) -> str:
    """Aligned columns for a terminal, with a title above and notes below."""
    rows = [_HEAD, *map(_cells, board.rows), _average_cells(board)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = [
            cell.ljust(w) if at in (0, 7) else cell.rjust(w)
            for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join([first, *others]).rstrip())
    notes = [f"* {note}" for note in board.footnotes]
    return "\n".join([*_title(board), "", *lines, "", _tolerance_line(board), *notes]) + "\n"


def markdown_table(board: Leaderboard) -> str:
    """The table in Markdown, with a title above and notes below."""
    head, *rows = ([_escape_markdown(cell) for cell in row] for row in (_HEAD, *map(_cells, board.rows)))
    last = [f"**{_escape_markdown(cell)}**" for cell in _average_cells(board)]
    marks = ["---", *["---:"] * (len(_HEAD) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, marks, *rows, last)]
    title, *about = map(_escape_markdown, _title(board))
    notes = [f"* {_escape_markdown(note)}" for note in board.footnotes]
    return "\n".join([f"**{title}**", "", *about, "", *lines, "", _tolerance_line(board), "", *notes]) + "\n"


def latex_rows(board: Leaderboard) -> str:
    """Rows for a LaTeX table: first stage, published and ours, once for each order of the tasks."""
    lines = [f"% {_one_line(line)}" for line in (*_title(board), _tolerance_line(board), *board.footnotes)]
    orders = {"order of the paper": board.benchmark.tasks}
    if board.benchmark.own_order != board.benchmark.tasks:
        orders[f"order of {board.benchmark.title}"] = board.benchmark.own_order
    labels, ours = board.benchmark.labels, board.condition.label
    fields = {"first_stage": "First stage", "published": f"{ours}, published", "ours": ours}
    for name, tasks in orders.items():
        lines += [f"% {name}", _latex_row("Model", [*(labels[task] for task in tasks), "Avg."])]
        for field, label in fields.items():
            by_task = {row.task: _number(getattr(row, field)) for row in board.rows}
            cells = [by_task.get(task, "-") for task in tasks]
            lines.append(_latex_row(label, [*cells, _number(getattr(board.average, field))]))
    return "\n".join(lines) + "\n"


def leaderboard_record(board: Leaderboard) -> dict[str, Any]:
    """The leaderboard as JSON values."""
    condition = board.condition
    return {
        "condition": condition.name,
        "benchmark": board.benchmark.name,
        "label": condition.label,
        "model": condition.model,
        "revision": condition.revision,
        "first_stage": condition.first_stage,
        "measure": condition.measure,
        "qrels_kind": condition.qrels_kind,
        "source": condition.source,
        "tolerance": condition.tolerance,
        "average_tolerance": board.average_tolerance,
        "rows": [_row_record(row) for row in board.rows],
        "average": _row_record(board.average),
        "partial": board.partial,
        "within_tolerance": board.within_tolerance,
        "footnotes": list(board.footnotes),
    }


def _row_record(row: Row) -> dict[str, Any]:
    return asdict(row) | {"runs": list(row.runs)}


def _title(board: Leaderboard) -> list[str]:
    condition = board.condition
    moved = f", window {condition.window}, step {condition.step}" if condition.window else ""
    source = f"; published: {condition.source}" if condition.published else ""
    return [
        f"{board.benchmark.title}, {condition.measure} x 100, {condition.qrels_kind} judgements",
        f"{condition.label} (condition {condition.name}{moved}){source}",
    ]


def _tolerance_line(board: Leaderboard) -> str:
    answer = {True: "yes", False: "no", None: "not judged"}[board.within_tolerance]
    task, average = board.condition.tolerance, board.average_tolerance
    return f"within tolerance: {answer} ({task:.3g} per task, {average:.3g} on the average)"


def _cells(row: Row) -> tuple[str, ...]:
    changes = "-" if row.helped is None else f"{row.helped}/{row.hurt}/{row.unchanged}"
    return (
        row.task,
        str(row.queries),
        _number(row.first_stage),
        _number(row.ours),
        f"{row.low:.2f}..{row.high:.2f}",
        _number(row.published),
        "-" if row.difference is None else f"{round(row.difference, 2) + 0.0:+.2f}",
        row.verdict,
        changes,
        "-" if row.p is None else "<0.001" if row.p < 0.001 else f"{row.p:.3f}",
    )


def _average_cells(board: Leaderboard) -> tuple[str, ...]:
    count = f"average of {len(board.rows)}" + (f" of {len(board.benchmark.tasks)}" if board.partial else "")
    return (count, *_cells(board.average)[1:])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _escape_markdown(value: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _one_line(value))


def _latex_row(label: str, cells: Sequence[str]) -> str:
    escaped = ["--" if cell == "-" else _escape_latex(cell) for cell in (label, *cells)]
    return " & ".join(escaped) + r" \\"


def _escape_latex(value: str) -> str:
    return "".join(_LATEX.get(char, char) for char in _one_line(value))
