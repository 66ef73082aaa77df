"""Pictures of the ablation: the arms' scores as bars, and how losses and rewards went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plan import MAIN, chain
from table import MEASURE, Line

from reasonrank_pyserini.lazy import require
from reasonrank_pyserini.training.curves import COLOURS, read_log, smoothed

GREY = "#8a8a8a"
COMPARED = {MAIN: COLOURS[0], "grpo-ndcg": COLOURS[1]}
"""The arms whose reinforcement is drawn."""
PANELS = (
    ("exercises: loss", "loss", ("base",)),
    ("SFT: loss", "loss", ("sft",)),
    ("RL: the reward trained on", "reward", tuple(COMPARED)),
    ("RL: nDCG@10 of the samples", "ndcg", tuple(COMPARED)),
)
"""Title, field of the log, arms."""


def draw_arms(lines: Sequence[Line], path: Path) -> None:
    """Write a bar for every line that has a mean, with its interval, and a point for each seed."""
    shown = [line for line in lines if line.mean is not None]
    figure = _figure(7.6, 0.42 * len(shown) + 1.1)
    axes = figure.subplots()
    for place, line in enumerate(shown):
        mean = line.mean
        assert mean is not None
        colour = GREY if not line.seeds else COLOURS[1] if line.title == chain(MAIN)[-1].title else COLOURS[0]
        axes.barh(place, mean.mean, color=colour, alpha=0.55, height=0.66)
        axes.plot([mean.low, mean.high], [place, place], color="black", linewidth=1.4)
        axes.plot(list(line.seeds.values()), [place] * len(line.seeds), "o", color="black", markersize=3)
        axes.text(
            max(mean.high, *line.seeds.values(), 0) + 1.5, place, f"{mean.mean:.1f}", va="center", fontsize=8
        )
    axes.set_yticks(range(len(shown)), [line.title for line in shown], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xlabel("line: 95% interval over queries; points: seeds", fontsize=8)
    axes.set_title(f"100 {MEASURE} on nano/test", fontsize=10, loc="left")
    _plain(axes)
    _save(figure, path)


def draw_curves(folder: Path, seeds: Sequence[int], path: Path) -> None:
    """Write losses and rewards over steps: each seed thin, the running mean over seeds thick."""
    figure = _figure(10.4, 6.0)
    figure.suptitle("thin: every seed, thick: running mean of the seeds", fontsize=11, x=0.01, ha="left")
    for axes, (title, name, arms) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for arm in arms:
            logs = [folder / f"seed-{seed}" / arm / "log.jsonl" for seed in seeds]
            _curves(axes, [_series(log, name) for log in logs if log.is_file()], arm)
        if len(arms) > 1 and axes.lines:
            axes.legend(fontsize=8, frameon=False)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("optimizer step", fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    _save(figure, path)


def _series(log: Path, name: str) -> Mapping[int, float]:
    return {line["step"]: line[name] for line in read_log(log) if name in line} if log.stat().st_size else {}


def _curves(axes: Any, found: Sequence[Mapping[int, float]], arm: str) -> None:
    series = [points for points in found if points]
    if not series:
        return
    colour = COMPARED.get(arm, COLOURS[0])
    for points in series:
        axes.plot(list(points), list(points.values()), color=colour, linewidth=0.6, alpha=0.3)
    steps = sorted(set.intersection(*(set(points) for points in series)))
    means = [sum(points[step] for points in series) / len(series) for step in steps]
    label = chain(arm)[-1].title
    axes.plot(steps, smoothed(means, max(1, len(steps) // 15)), color=colour, linewidth=1.8, label=label)


def _figure(width: float, height: float) -> Any:
    require("matplotlib", "drawing the ablation")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
