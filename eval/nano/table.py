"""What the arms scored, as tables: every test split next to the paper, and what went wrong on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arms import ARMS, MAIN, SHIPPED, chain
from plan import SPLITS, model_of
from results import MEASURE, SHARES, Line

from reasonrank_pyserini.files.locks import read_json

PAPER_MAIN = chain(MAIN)[-1].paper or 0.0


def overview(lines: Mapping[str, Sequence[Line]]) -> list[list[str]]:
    """Cells of every arm on every test split next to the paper's, and the places among the arms that the paper has."""
    head, columns = ["arm"], []
    for split, found in lines.items():
        head += [f"nano/{split}", "95% interval", "vs SFT + RL", "95% interval", "place"]
        places = _places(
            {line.title: line.mean.mean if line.mean else None for line in found if line.paper is not None}
        )
        columns.append([[*_means(line), places.get(line.title, "-")] for line in found])
    arms = next(iter(lines.values()))
    places = _places({line.title: line.paper for line in arms})
    paper = [
        [
            _number(line.paper),
            "-" if line.paper in (None, PAPER_MAIN) else _number((line.paper or 0.0) - PAPER_MAIN, "+.2f"),
            places.get(line.title, "-"),
        ]
        for line in arms
    ]
    body = [
        [line.title, *(cell for part in parts for cell in part)]
        for line, *parts in zip(arms, *columns, paper, strict=True)
    ]
    return [[*head, "paper", "vs SFT + RL", "place"], *body]


def _means(line: Line) -> list[str]:
    mean, difference = line.mean, line.difference
    return [
        _number(mean.mean) if mean else "not run",
        f"{mean.low:.2f}..{mean.high:.2f}" if mean else "-",
        _number(difference.mean, "+.2f") if difference else "-",
        f"{difference.low:+.2f}..{difference.high:+.2f}" if difference else "-",
    ]


def _places(values: Mapping[str, float | None]) -> dict[str, str]:
    """The place of each value that is there, 1 for the highest; equal values share the better place."""
    known = {name: value for name, value in values.items() if value is not None}
    return {name: str(1 + sum(other > value for other in known.values())) for name, value in known.items()}


def details(lines: Sequence[Line], seeds: Sequence[int]) -> list[list[str]]:
    """Cells of one test split: each seed, and what went wrong."""
    head = [
        "arm", *(f"seed {seed}" for seed in seeds), "sd", "complete", "concept", "on top",
        "found early", "found late", "training, s",
    ]  # fmt: skip
    body = [
        [
            line.title,
            *(_number(line.seeds.get(seed)) for seed in seeds),
            _number(line.spread),
            *(_number(getattr(line, name), ".1%") for name in SHARES),
            _number(line.seconds, ".0f"),
        ]
        for line in lines
    ]
    return [head, *body]


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def text(cells: Sequence[Sequence[str]]) -> str:
    """Cells in aligned columns, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    )


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Cells as a table in Markdown."""
    head, *body = (" | ".join(row) for row in cells)
    rule = " | ".join(["---", *["---:"] * head.count("|")])
    return "\n".join(f"| {row} |" for row in (head, rule, *body))


def notes(folder: Path, seeds: Sequence[int]) -> list[str]:
    """What the table's figures are, a paragraph each."""
    settings = read_json(folder / "settings.json") or {}
    kinds = {arm.data: arm for arm in (*ARMS, *SHIPPED) if arm.stage == "sft" and arm.start}
    counts = [
        f"{examples['kept']:,} {kind}"
        for kind, arm in kinds.items()
        if (examples := _trained(folder, arm.name, seeds).get("examples"))
    ]
    counted = f"; lists of fine-tuning: {', '.join(counts)}" if counts else ""
    found = [
        f"100 {MEASURE} on {' and '.join(f'nano/{split}' for split in SPLITS)}: BM25's candidates, reranked by a "
        "network trained from scratch. All arms and seeds start from the same exercises. The interval of a mean is a "
        "bootstrap over queries of the mean over seeds, that of a difference is paired by query; sd is over seeds; "
        "training counts an arm's own stages, after the exercises.",
        "Paper: ReasonRank-7B on BRIGHT (arXiv 2508.07050), another task and another size: the figures are not "
        "comparable, the order of the arms may be.",
        "Of the windows that show something relevant: complete, answered with every passage once; concept, named right "
        "in the reasoning; on top, of those with the right concept, all relevant passages first. Found early, late: "
        "of the relevant passages in the first and in the second half of those windows, the ones that the reasoning "
        "finds.",
        f"The teacher overlooks {settings.get('noise')} of the fitting passages in the second half of a list and errs "
        f"in {settings.get('pick_noise')} of its picks{counted}.",
    ]
    return ["**A rehearsal: these figures mean nothing.**", *found] if settings.get("rehearse") else found


def _trained(folder: Path, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """The manifest of an arm's training with the first seed that is there."""
    paths = (model_of(folder, arm, seed) / "manifest.json" for seed in seeds)
    return next((manifest for path in paths if (manifest := read_json(path))), {})
