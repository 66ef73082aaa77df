"""SingleWindow: only the best candidates of the first stage, in one call."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Flow
from .option_values import check_least
from .verdict_orders import apply_verdict


@dataclass(frozen=True, slots=True)
class SingleWindow:
    """One window of the first `size` candidates; the others follow unchanged."""

    size: int = 20

    def __post_init__(self) -> None:
        check_least("single", {"size": (self.size, 2)})

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: at most one window."""
        window = tuple(range(self.passages(n)))
        if window:
            window = apply_verdict(window, (yield [window]))
        return (*window, *range(len(window), n))

    def calls(self, n: int) -> int:
        return 1 if n > 1 else 0

    def rounds(self, n: int) -> int:
        return self.calls(n)

    def passages(self, n: int) -> int:
        return min(n, self.size) if n > 1 else 0
