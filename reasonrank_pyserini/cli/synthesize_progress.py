"""The progress of a synthesis on a terminal: a bar over its queries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.synthesis import SynthesisTally


class QueryBar:
    """A `SynthesisDisplay` as a bar on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def update(self, tally: SynthesisTally) -> None:
        """Draw the bar; made with the first tally, which has the total."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=tally.total, unit=" queries", file=sys.stderr)
        self._bar.set_postfix_str(f"{tally.kept} kept", refresh=False)
        self._bar.update(len(tally.outcomes) - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def query_bar() -> QueryBar | None:
    """A bar where standard error is a terminal, else None: the library then says a line every 30 seconds."""
    return QueryBar() if sys.stderr.isatty() else None
