"""Estimates of rerankings and reproductions as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jobs.rerank_estimate import RerankEstimate
from ..models.cost import duration
from .option_names import with_options

if TYPE_CHECKING:
    from ..reproduce import ReproduceEstimate


def rerank_lines(found: RerankEstimate) -> list[str]:
    """Queries, windows, tokens, and a modelled time where the model's size is known."""
    lines = [f"queries            {found.queries}", f"windows            {found.windows}{_bound(found)}"]
    lines += _calls(found)
    if found.prompt_tokens is not None and found.new_tokens is not None and found.most_new is not None:
        calls, mean, each = found.calls, found.prompt_tokens, _unit(found)
        lines += [
            f"prompt tokens      {calls * mean:,.0f} ({mean:,.0f} a {each}, measured on {found.measured} windows)",
            f"new tokens         {calls * found.new_tokens:,} ({found.new_tokens} a {each} assumed; at most "
            f"{calls * found.most_new:,})",
        ]
    lines += _time(found, "h200", 1)
    if found.context is not None:
        lines.append(f"context            {found.context} tokens (prompt and answer)")
    return lines


def reproduce_lines(found: ReproduceEstimate, gpu: str, gpus: int, price: float | None) -> list[str]:
    """Tasks, queries, windows, modelled tokens, time on the GPUs and money."""
    prompt, new = found.prompt_tokens, found.new_tokens
    if not found.windows and prompt is None:
        return ["windows            0 (the first stage alone)"]
    lines = [f"tasks              {found.tasks}", f"queries            {found.queries}",
             f"windows            {found.windows:,}{_bound(found)}", *_calls(found)]  # fmt: skip
    if prompt is not None and new is not None:
        each = _unit(found)
        like = f"{prompt:,.0f} a {each} as on BRIGHT economics"
        lines += [
            f"prompt tokens      {found.calls * prompt:,.0f} (modelled, {like})",
            f"new tokens         {found.calls * new:,} (modelled, {new} a {each})",
        ]
    lines += _time(found, gpu, gpus)
    if found.money is not None:
        lines.append(f"money              {found.money:,.2f} (modelled, {price:g} per GPU hour)")
    return lines


def _bound(found: RerankEstimate | ReproduceEstimate) -> str:
    return " at most" if found.at_most else ""


def _calls(found: RerankEstimate | ReproduceEstimate) -> list[str]:
    """The number of calls, where it is not that of windows."""
    return [] if _unit(found) == "window" else [f"calls              {found.calls:,}{_bound(found)}"]


def _unit(found: RerankEstimate | ReproduceEstimate) -> str:
    return "window" if found.calls in (0, found.windows) else "call"


def _time(found: RerankEstimate | ReproduceEstimate, gpu: str, gpus: int) -> list[str]:
    if found.not_modelled is not None:
        return [f"time               not modelled: {with_options(found.not_modelled)}"]
    if found.seconds is None:
        return []
    time = f"{duration(found.seconds)} (modelled for {found.profile}, not measured)"
    return [f"time on {gpus} {gpu:<9}  {time}"]
