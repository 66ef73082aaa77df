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
    lines = [f"queries            {found.queries}", f"windows            {found.windows}"]
    if found.prompt_tokens is not None and found.new_tokens is not None and found.most_new is not None:
        windows, mean = found.windows, found.prompt_tokens
        lines += [
            f"prompt tokens      {windows * mean:,.0f} ({mean:,.0f} a window, measured on {found.measured} windows)",
            f"new tokens         {windows * found.new_tokens:,} ({found.new_tokens} a window assumed; at most "
            f"{windows * found.most_new:,})",
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
             f"windows            {found.windows:,}"]  # fmt: skip
    if prompt is not None and new is not None:
        like = f"{prompt:,.0f} a window as on BRIGHT economics"
        lines += [
            f"prompt tokens      {found.windows * prompt:,.0f} (modelled, {like})",
            f"new tokens         {found.windows * new:,} (modelled, {new} a window)",
        ]
    lines += _time(found, gpu, gpus)
    if found.money is not None:
        lines.append(f"money              {found.money:,.2f} (modelled, {price:g} per GPU hour)")
    return lines


def _time(found: RerankEstimate | ReproduceEstimate, gpu: str, gpus: int) -> list[str]:
    if found.not_modelled is not None:
        return [f"time               not modelled: {with_options(found.not_modelled)}"]
    if found.seconds is None:
        return []
    time = f"{duration(found.seconds)} (modelled for {found.profile}, not measured)"
    return [f"time on {gpus} {gpu:<9}  {time}"]
