"""The conditions of a benchmark as a table."""

from __future__ import annotations

from ..reproduce.conditions import BENCHMARKS, conditions, first_stage


def condition_table(benchmark: str) -> str:
    """One line per condition: name, kind, published average, first stage, note; tasks and footnotes below."""
    rows = [("condition", "kind", "average", "first stage", "note")]
    for one in conditions(benchmark):
        average = "-" if one.average is None else f"{one.average:.2f}"
        stage = first_stage(benchmark, one.first_stage).label if one.first_stage else "-"
        rows.append((one.name, one.kind, average, stage, one.note))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2]),
                   row[3].ljust(widths[3]), row[4]]).rstrip()
        for row in rows
    ]  # fmt: skip
    tasks = f"tasks: {' '.join(BENCHMARKS[benchmark].tasks)}"
    return "\n".join([*lines, "", tasks, *BENCHMARKS[benchmark].footnotes])
