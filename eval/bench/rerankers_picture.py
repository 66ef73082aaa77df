"""The picture of ReasonRank against Rank1: modelled seconds by load, modelled ratios by answer, measured ratios."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from time_pictures import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, plain, plain_numbers, save

FASTER = "Rank1's seconds / ReasonRank's"
LEGEND: Mapping[str, Any] = {"fontsize": 10, "title_fontsize": 10, "alignment": "left", "frameon": False}
RATIOS = (0.1, 0.2, 0.5, 1, 2, 5)


def draw_rerankers(figures: Mapping[str, Any], path: Path) -> None:
    """Write a panel for each kind of figures that is there."""
    modelled, measured = figures.get("modelled"), figures.get("measured")
    figure = new_figure(10.4, 8.2) if modelled else new_figure(5.6, 4.6)
    panels = list(figure.subplots(2 if modelled else 1, 2 if modelled else 1, squeeze=False).flat)
    if modelled:
        _seconds(panels[0], modelled)
        _ratios(panels[1], modelled)
        panels[3].set_axis_off()
        handles, labels = panels[1].get_legend_handles_labels()
        panels[3].legend(handles, labels, title="ways to run both, above", loc="upper left", **LEGEND)
    if measured:
        _measured(panels[2 if modelled else 0], measured)
    elif modelled:
        panels[2].set_axis_off()
    save(figure, path)


def _seconds(axes: Any, found: Mapping[str, Any]) -> None:
    colours = {"ReasonRank": BLUE}
    for (name, seconds), style in zip(found["by_load"].items(), ("-", ":", "-", "--"), strict=False):
        axes.plot(
            found["loads"],
            seconds,
            style,
            marker="o",
            markersize=4,
            color=colours.get(name, ORANGE),
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain(axes, "Modelled, 7B, 4 x A100 as one engine", "queries asked at once", "seconds a query")
    plain_numbers(axes.xaxis, found["loads"])
    plain_numbers(axes.yaxis, (1, 2, 5, 10, 20))
    axes.legend(fontsize=9.5, frameon=False)


def _ratios(axes: Any, found: Mapping[str, Any]) -> None:
    published = found["published"]
    low, high = published["eight sets, least"], published["eight sets, most"]
    axes.axhspan(low, high, color=GREY, alpha=0.25, linewidth=0)
    axes.axhline(published["DL19"], color=GREY, linewidth=1.2, linestyle="--")
    axes.axhline(1.0, color="black", linewidth=0.8)
    last = found["answers"][-1]
    axes.text(found["answers"][0], high * 1.04, "published, BRIGHT: 2 to 2.7", fontsize=9, va="bottom")
    axes.text(last, published["DL19"] * 0.96, "published, DL19: 1/6", fontsize=9, ha="right", va="top")
    for (way, values), colour in zip(found["by_answer"].items(), (GREEN, BLUE, PURPLE, ORANGE), strict=True):
        ratios = [value["ratio"] for value in values]
        axes.plot(found["answers"], ratios, marker="o", markersize=4, color=colour, label=way)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain(axes, "Modelled, the same engine", "tokens of Rank1's answers", FASTER)
    plain_numbers(axes.xaxis, [value for value in found["answers"] if value not in (300.0, 900.0)])
    plain_numbers(axes.yaxis, RATIOS)


def _measured(axes: Any, found: Mapping[str, Any]) -> None:
    places = range(len(found["lines"]))
    for place, line in zip(places, found["lines"], strict=True):
        ratio = line["ratio"]
        axes.plot([place, place], [ratio.low, ratio.high], color=BLUE, linewidth=2.0)
        axes.plot(place, ratio.value, "o", color=BLUE, markersize=8)
        axes.annotate(
            f"{ratio.value:.2f}", (place, ratio.value), (10, 0), textcoords="offset points", va="center"
        )
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    title = (
        f"Measured, {found['engine']} on 2 CPU cores,\ntwo-layer random model, answers x {found['scale']:g}"
    )
    plain(axes, title, "queries asked at once", FASTER + " (95%)")
    axes.set_xticks(list(places), [str(line["load"]) for line in found["lines"]])
    axes.set_xlim(-0.6, len(places) - 0.2)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.1), max(high, 5.0))
    plain_numbers(axes.yaxis, RATIOS)
