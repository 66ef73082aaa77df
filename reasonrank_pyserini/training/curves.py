"""A training's log, one line a step, and its curves as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.lines import read_objects
from ..lazy import require

NAMES: Mapping[str, str] = {
    "loss": "loss", "learning_rate": "lr", "grad_norm": "grad_norm", "epoch": "epoch", "reward": "reward",
    "reward_std": "reward_std", "rewards/ndcg/mean": "ndcg",
    "rewards/recall/mean": "recall", "rewards/rbo/mean": "rbo", "rewards/format/mean": "format", "kl": "kl",
    "entropy": "entropy", "mean_token_accuracy": "accuracy", "completions/mean_length": "length",
    "completions/min_length": "length_min", "completions/max_length": "length_max",
    "completions/clipped_ratio": "cut_off", "frac_reward_zero_std": "groups_alike",
}  # fmt: skip
"""The trainer's names of the figures in the log, and ours; no times, so equal trainings log equal lines."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of curves.png: its title, and the log's fields in it with their labels."""

    title: str
    series: Mapping[str, str]
    band: tuple[str, str] | None = None
    exact: bool = False
    """Not smoothed, and drawn from zero, as for a schedule."""


PANELS = (
    Panel("loss", {"loss": "loss"}),
    Panel("accuracy of the next token", {"accuracy": "answer tokens"}),
    Panel("reward", {"reward": "total"}),
    Panel("nDCG@10", {"ndcg": "nDCG@10"}),
    Panel("the other views", {"recall": "recall@10", "rbo": "RBO", "format": "format"}),
    Panel("completion length, tokens", {"length": "mean"}, ("length_min", "length_max")),
    Panel("divergence from the start", {"kl": "KL"}),
    Panel("entropy of a token, nats", {"entropy": "entropy"}),
    Panel("groups whose answers have one reward, share", {"groups_alike": "groups"}),
    Panel("learning rate", {"lr": "learning rate"}, exact=True),
)


def log_line(step: int, logged: Mapping[str, Any]) -> dict[str, Any] | None:
    """One step as a line of `log.jsonl`; None for the trainer's other entries, such as its summary."""
    if "loss" not in logged:
        return None
    line = {ours: logged[theirs] for theirs, ours in NAMES.items() if logged.get(theirs) is not None}
    return {"step": step, **line}


def write_log(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the lines, one JSON object each, in place of the file's content."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def append_log(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line to the file."""
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def short(line: Mapping[str, Any], steps: int) -> str:
    """A line of the log for the user: the step and its main figures."""
    shown = [f"{name} {line[name]:.4g}" for name in ("loss", "reward", "ndcg", "length") if name in line]
    return f"step {line['step']}/{steps}  " + "  ".join(shown)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a `log.jsonl`; InputError when it has none."""
    lines = [line for _, line in read_objects(path)]
    if not lines:
        raise InputError(f"{path} holds no step")
    return lines


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """The mean over `width` neighbours of each value, fewer at the ends."""
    half = width // 2
    return [
        sum(part) / len(part)
        for part in (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    ]


def draw(lines: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Write curves.png: a panel for each logged figure; long series are thin lines under their running mean."""
    require("matplotlib", "drawing curves")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [panel for panel in PANELS if any(name in line for name in panel.series for line in lines)]
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 2.7 * rows + 0.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    note = "  (thin: every step, thick: running mean)" if len(lines) >= 30 else ""
    figure.suptitle(title + note, fontsize=11, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number < len(panels):
            _panel(axes, panels[number], lines)
        else:
            axes.set_axis_off()
    try:
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


COLOURS = ("#0b5fa5", "#c8511b", "#2e7d32")


def _panel(axes: Any, panel: Panel, lines: Sequence[Mapping[str, Any]]) -> None:
    if panel.band is not None:
        low, high = panel.band
        points = [line for line in lines if low in line and high in line]
        axes.fill_between(
            [p["step"] for p in points], [p[low] for p in points], [p[high] for p in points],
            color=COLOURS[0], alpha=0.12, linewidth=0, label="shortest to longest",
        )  # fmt: skip
    for (name, label), colour in zip(panel.series.items(), COLOURS, strict=False):
        points = [line for line in lines if name in line]
        if points:
            width = 1 if panel.exact else len(points) // 15
            _curve(axes, [p["step"] for p in points], [p[name] for p in points], label, colour, width)
    if panel.exact:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel("optimizer step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(panel.series) > 1 or panel.band is not None:
        axes.legend(fontsize=8, frameon=False)


def _curve(
    axes: Any, steps: Sequence[int], values: Sequence[float], label: str, colour: str, width: int
) -> None:
    if width < 2:
        marker = "o" if len(steps) < 15 else None
        axes.plot(steps, values, color=colour, linewidth=1.6, label=label, marker=marker, markersize=3)
        return
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(steps, smoothed(values, width), color=colour, linewidth=1.8, label=label)
