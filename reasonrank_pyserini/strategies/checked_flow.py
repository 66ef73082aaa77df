"""A strategy's flow with its windows and its final order checked, so that a mistake in one is named."""

from __future__ import annotations

from collections.abc import Generator

from ..errors import InputError, ReasonRankError, one_line
from .named import strategy_name
from .ranking_strategy import RankingStrategy
from .scored_order import ScoredOrder, ScoringFlow, ScoringStrategy

_OWN = __name__.rpartition(".")[0]


def checked_flow(strategy: RankingStrategy, n: int) -> ScoringFlow:
    """`strategy.rank(n)`, with scores where it has them; InputError for windows and orders that are not of its `n`
    candidates.

    What a strategy from elsewhere raises is an InputError as well.
    """
    name = strategy_name(strategy)
    try:
        scoring = isinstance(strategy, ScoringStrategy)
        called = "rank_scored" if scoring else "rank"
        flow = getattr(strategy, called)(n)
        if not isinstance(flow, Generator):
            raise InputError(
                f"strategy {name}: {called}({n}) gives {type(flow).__name__}, it must be a generator of windows"
            )
        try:
            windows = next(flow)
            while True:
                for window in windows:
                    if len(set(window)) < len(window) or not set(window) <= set(range(n)):
                        shown = one_line(repr(window), 80)
                        raise InputError(
                            f"strategy {name}: window {shown} is not of {n} candidates, each once"
                        )
                windows = flow.send((yield windows))
        except StopIteration as end:
            found = end.value if scoring else ScoredOrder(end.value)
        finally:
            flow.close()
        _check(name, found, n)
        return found
    except ReasonRankError:
        raise
    except Exception as error:
        if type(strategy).__module__.startswith(_OWN):
            raise
        raise InputError(f"strategy {name} failed: {type(error).__name__}: {one_line(error, 160)}") from error


def _check(name: str, found: ScoredOrder, n: int) -> None:
    if sorted(found.order) != list(range(n)):
        shown = one_line(repr(found.order), 80)
        raise InputError(f"strategy {name}: its order {shown} is not of all {n} candidates, each once")
    for what, values in (("scores", found.scores), ("deviations", found.deviations)):
        if values is not None and len(values) != n:
            raise InputError(f"strategy {name}: {len(values)} {what} for {n} candidates")
