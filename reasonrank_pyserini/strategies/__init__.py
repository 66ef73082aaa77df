"""Which passages are judged together, and in what order: pure flows without engine and I/O."""

from .belief import Belief
from .groups import Groups
from .named import STRATEGIES, named_strategy, strategy_options
from .pointwise import Pointwise, TwoPass
from .pooled_windows import PooledWindows
from .ranking_strategy import RankingStrategy
from .sampled import Sampled
from .scored_order import ScoredOrder, ScoringStrategy, scored_flow
from .setwise import Setwise
from .single_window import SingleWindow
from .sliding import Passes, SlidingWindow
from .top_down import TopDown
from .tournament import Tournament
from .verdict_orders import apply_verdict, apply_verdicts, check_order, partial_order, reorder

__all__ = [
    "STRATEGIES",
    "Belief",
    "Groups",
    "Passes",
    "Pointwise",
    "PooledWindows",
    "RankingStrategy",
    "Sampled",
    "ScoredOrder",
    "ScoringStrategy",
    "Setwise",
    "SingleWindow",
    "SlidingWindow",
    "TopDown",
    "Tournament",
    "TwoPass",
    "apply_verdict",
    "apply_verdicts",
    "check_order",
    "named_strategy",
    "partial_order",
    "reorder",
    "scored_flow",
    "strategy_options",
]
