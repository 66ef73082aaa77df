"""A reranking's estimate as lines."""

from __future__ import annotations

from ..jobs.rerank_estimate import RerankEstimate
from ..models.cost import duration


def estimate_lines(found: RerankEstimate) -> list[str]:
    """Queries, windows, tokens, and a modelled time where the model's size is known."""
    lines = [f"queries            {found.queries}", f"windows            {found.windows}"]
    if found.prompt_tokens is not None and found.new_tokens is not None and found.most_new is not None:
        windows, mean = found.windows, found.prompt_tokens
        lines += [
            f"prompt tokens      {windows * mean:,.0f} ({mean:,.0f} a window, measured on {found.measured} windows)",
            f"new tokens         {windows * found.new_tokens:,} ({found.new_tokens} a window assumed; at most "
            f"{windows * found.most_new:,})",
        ]
    if found.not_modelled is not None:
        lines.append(f"time               not modelled: {found.not_modelled}")
    elif found.seconds is not None:
        time, model = duration(found.seconds), found.profile
        lines.append(f"time on 1 h200       {time} (modelled for {model}, not measured)")
    if found.context is not None:
        lines.append(f"context            {found.context} tokens (prompt and answer)")
    return lines
