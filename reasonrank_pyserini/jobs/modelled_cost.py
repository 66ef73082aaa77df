"""Modelled time and money as lines."""

from __future__ import annotations

from ..errors import InputError
from ..models.cost import duration, find_gpu, modelled_seconds
from ..ranking.plan import Plan


def modelled_lines(
    plan: Plan,
    windows: int,
    prompt: float,
    new: float,
    gpu: str = "h200",
    gpus: int = 1,
    price: float | None = None,
) -> list[str]:
    """Time and money on that hardware, marked as modelled; nothing when the model's size is not known."""
    kind = find_gpu(gpu)
    try:
        seconds = modelled_seconds(plan.profile, kind, windows, prompt, new, gpus)
    except InputError as error:
        return [f"time               not modelled: {error}"]
    if seconds is None:
        return []
    name = plan.profile.name
    found = [f"time on {gpus} {gpu:<9}  {duration(seconds)} (modelled for {name}, not measured)"]
    if price is not None:
        found.append(
            f"money              {seconds / 3600 * gpus * price:,.2f} (modelled, {price:g} a GPU hour)"
        )
    return found
