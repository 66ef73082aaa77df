"""Pictures of the ablation: the arms' scores as bars, and how losses and rewards went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arms import CURVE_ARMS, MAIN, SHIPPED, chain
from plan import model_of
from results import MEASURE, Line

from reasonrank_pyserini.lazy import require
from reasonrank_pyserini.training.curves import COLOURS, read_log, smoothed

GREY, PURPLE = "#8a8a8a", "#7b4fa3"
TUNED = ("sft", "sft-no-filter", *(arm.name for arm in SHIPPED if arm.stage == "sft"))
REINFORCED = (*CURVE_ARMS, *(arm.name for arm in SHIPPED if arm.stage == "grpo"))
"""The arms whose trainings are drawn, if they have been run."""
COLOUR = {
    "base": COLOURS[0],
    **dict(zip(TUNED, COLOURS, strict=True)),
    **dict(zip(REINFORCED, (*COLOURS, PURPLE), strict=True)),
}
HELD_OUT = "RL: reward on held-out lists, greedy"
PANELS = (
    ("exercises: loss", "loss", ("base",)),
    ("SFT: loss", "loss", TUNED),
    ("RL: the reward trained on, sampled", "reward", REINFORCED),
    (HELD_OUT, "total", CURVE_ARMS),
    ("RL: form of the samples", "format", REINFORCED),
    ("RL: groups of equal rewards, share", "groups_alike", REINFORCED),
    ("RL: KL divergence from the start", "kl", REINFORCED),
    ("RL: entropy of a token, nats", "entropy", REINFORCED),
)
"""Title, field of the log or of the score on held-out lists, arms."""


def draw_arms(lines: Mapping[str, Sequence[Line]], path: Path) -> None:
    """Write, for every test split, a bar for every line that has a mean, with its interval, and a point a seed."""
    shown = {split: [line for line in found if line.mean is not None] for split, found in lines.items()}
    figure = _figure(5.2 * len(lines) + 1.4, 0.42 * max(map(len, shown.values())) + 1.1)
    for axes, (split, found) in zip(
        figure.subplots(1, len(lines), squeeze=False).flat, shown.items(), strict=True
    ):
        _bars(axes, found)
        axes.set_title(f"100 {MEASURE} on nano/{split}", fontsize=10, loc="left")
    _save(figure, path)


def _bars(axes: Any, shown: Sequence[Line]) -> None:
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
    axes.set_yticks(range(len(shown)), [line.title for line in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xlabel("line: 95% interval over queries; points: seeds", fontsize=8)
    _plain(axes)


def draw_curves(folder: Path, seeds: Sequence[int], path: Path) -> None:
    """Write losses, rewards and what explains them over steps: each seed thin, the running mean over seeds thick."""
    rows = len(PANELS) // 2
    figure = _figure(10.4, 3.0 * rows)
    figure.suptitle("thin: every seed, thick: running mean of the seeds", fontsize=11, x=0.01, ha="left")
    for axes, (title, name, arms) in zip(figure.subplots(rows, 2).flat, PANELS, strict=True):
        for arm in arms:
            found = [
                _held_out(folder / f"seed-{seed}" / "held-out" / arm, name)
                if title == HELD_OUT
                else _series(model_of(folder, arm, seed) / "log.jsonl", name)
                for seed in seeds
            ]
            _curves(axes, found, arm, smooth=title != HELD_OUT)
        if len(arms) > 1 and axes.lines:
            axes.legend(fontsize=8, frameon=False)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("optimizer step", fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
        _plain(axes)
    _save(figure, path)


def _held_out(scores: Path, name: str) -> Mapping[int, float]:
    """By step, a figure of the scores on held-out lists."""
    found = {
        int(path.stem): json.loads(path.read_text(encoding="utf-8"))[name] for path in scores.glob("*.json")
    }
    return dict(sorted(found.items()))


def _series(log: Path, name: str) -> Mapping[int, float]:
    if not log.is_file() or not log.stat().st_size:
        return {}
    return {line["step"]: line[name] for line in read_log(log) if name in line}


def _curves(axes: Any, found: Sequence[Mapping[int, float]], arm: str, *, smooth: bool) -> None:
    series = [points for points in found if points]
    if not series:
        return
    colour = COLOUR[arm]
    for points in series:
        axes.plot(list(points), list(points.values()), color=colour, linewidth=0.6, alpha=0.3)
    steps = sorted(set.intersection(*(set(points) for points in series)))
    means = [sum(points[step] for points in series) / len(series) for step in steps]
    label = chain(arm)[-1].title
    width = max(1, len(steps) // 15) if smooth else 1
    axes.plot(steps, smoothed(means, width), color=colour, linewidth=1.8, label=label)


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
