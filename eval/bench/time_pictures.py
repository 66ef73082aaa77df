"""The picture of strategies in time: modelled quality against GPU-seconds and against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reasonrank_pyserini.lazy import require

BLUE, GREEN, ORANGE, PURPLE, GREY = "#1f5fa8", "#1e8449", "#d1660d", "#7d3c98", "#5d6d7e"
MARKS = {
    "sliding 20/10": (BLUE, "o", True),
    "sliding 20/10 + first stage": (BLUE, "o", False),
    "sliding 10/5": (BLUE, "s", True),
    "sliding 10/5, answers of 750": (BLUE, "s", False),
    "single": (GREY, "D", True),
    "topdown": (PURPLE, "^", True),
    "tournament": (PURPLE, "v", True),
    "setwise": (PURPLE, "s", True),
    "groups, 2 epochs": (GREEN, "o", True),
    "groups, 2 epochs + first stage": (GREEN, "o", False),
    "groups, 6 epochs": (GREEN, "s", True),
    "pooled": (ORANGE, "o", True),
    "pooled, budget 5": (ORANGE, "v", True),
    "pooled, adaptive, budget 12": (ORANGE, "s", True),
}
"""Colour, marker and whether it is filled, by strategy; a strategy that is not here is a grey cross."""
SIZES = (11.0, 7.5, 4.5)


def new_figure(width: float, height: float) -> Any:
    """A figure on white, so that it can be read on a dark page too."""
    require("matplotlib", "drawing the picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=9, which="both")
    axes.grid(alpha=0.25, linewidth=0.6, which="both")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def plain_numbers(axis: Any, ticks: Sequence[float]) -> None:
    """Those ticks only, as whole numbers."""
    axis.set_ticks(list(ticks), [f"{tick:,g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})


def draw_strategies(lines: Sequence[Mapping[str, Any]], counts: Sequence[int], gpu: str, path: Path) -> None:
    """Write two panels: a marker for each strategy and number of GPUs, the largest for the fewest."""
    figure = new_figure(12.4, 7.0)
    left, right = figure.subplots(1, 2, sharey=True)
    for line in lines:
        _points(left, line, [line["together"][count] * count for count in counts])
        _points(right, line, [line["alone"][count] for count in counts])
    figure.suptitle(
        f"Modelled, not measured: ReasonRank-7B on {gpu}, top 100 of each query",
        fontsize=12,
        x=0.01,
        ha="left",
    )
    note = "modelled nDCG@10 x 100\n(line: 95% interval of the difference from sliding 20/10)"
    plain(left, f"All of BRIGHT at once on {_counted(counts)} GPUs", "GPU-seconds", note)
    plain(right, f"One query alone on {_counted(counts)} GPUs", "seconds until its ranking", "")
    for axes in (left, right):
        axes.set_xscale("log")
    _ticks(left, (500, 1000, 2000, 5000, 10000, 20000))
    _ticks(right, (5, 10, 20, 50, 100))
    _legend(figure, lines, counts)
    save(figure, path)


def _ticks(axes: Any, ticks: Sequence[float]) -> None:
    low, high = axes.get_xlim()
    plain_numbers(axes.xaxis, [tick for tick in ticks if low <= tick <= high])
    axes.set_xlim(low, high)


def _counted(counts: Sequence[int]) -> str:
    return " or ".join([", ".join(map(str, counts[:-1])), str(counts[-1])]) if counts[1:] else str(counts[0])


def _points(axes: Any, line: Mapping[str, Any], values: Sequence[float]) -> None:
    colour, marker, filled = MARKS.get(line["strategy"], (GREY, "x", True))
    ndcg, gain = line["ndcg"].mean, line["gain"]
    axes.plot(values, [ndcg] * len(values), color=colour, linewidth=1.0, alpha=0.6)
    base = ndcg - gain.mean
    axes.plot([values[0]] * 2, [base + gain.low, base + gain.high], color=colour, linewidth=1.0, alpha=0.35)
    for value, size in zip(values, SIZES, strict=False):
        face = colour if filled else "white"
        axes.plot(
            value, ndcg, marker, color=colour, markerfacecolor=face, markersize=size, markeredgewidth=1.4
        )


def _legend(figure: Any, lines: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> None:
    from matplotlib.lines import Line2D

    shown = {line["strategy"] for line in lines}
    handles = []
    for name in [*(name for name in MARKS if name in shown), *sorted(shown - MARKS.keys())]:
        colour, marker, filled = MARKS.get(name, (GREY, "x", True))
        face = colour if filled else "white"
        handles.append(
            Line2D([], [], color=colour, marker=marker, markerfacecolor=face, linestyle="", label=name)
        )
    for count, size in zip(counts, SIZES, strict=False):
        label = f"{count} GPU{'s' if count > 1 else ''}"
        handles.append(Line2D([], [], color="black", marker="o", markersize=size, linestyle="", label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9.5, frameon=False)
