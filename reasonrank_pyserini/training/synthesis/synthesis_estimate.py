"""What a synthesis will take, before a call is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...jobs.saying import Say, silent
from ...models.cost import WINDOW_PROMPT_TOKENS
from .pools import POOL
from .synthesis_folder import Money
from .synthesis_job import SynthesisJob
from .synthesis_request import SynthesisRequest
from .teacher import prompt_tokens

SAMPLE = 20
"""Queries whose prompts are built to measure them."""
PICK_NEW, RANK_NEW = 1000, 1500
"""Tokens that a reasoning teacher is assumed to write in the first and in the second call."""
PAPER_LISTS = {
    "biology": 1700, "earth science": 566, "economics": 787, "robotics": 451, "sustainable living": 147,
    "stackoverflow": 1741, "leetcode": 1633, "math-qa": 1726, "math-theorem": 1673, "ms marco": 3093,
}  # fmt: skip
"""The lists of arXiv 2508.07050, by data set."""
_PAPER_WEB, _PAPER_WEB_POOL = "ms marco", 20


@dataclass(frozen=True, slots=True)
class SynthesisEstimate:
    """Calls and tokens of a synthesis of `queries`, two calls each at most; `cost` is None without prices.

    `pick_tokens` and `rank_tokens` are the mean lengths of a prompt of the first and of the second call, found in the
    way that `source` names; the lengths of answers are assumed. No calls: no query has two candidates. `datasets`:
    the queries by data set, where that is known.
    """

    queries: int
    calls: int
    pick_tokens: float
    rank_tokens: float
    source: str
    money: Money
    datasets: Mapping[str, int] = field(default_factory=dict)

    @property
    def tokens_in(self) -> float:
        return self.calls / 2 * (self.pick_tokens + self.rank_tokens)

    @property
    def tokens_out(self) -> int:
        return self.calls // 2 * (PICK_NEW + RANK_NEW)

    @property
    def cost(self) -> float | None:
        return self.money.cost(self.tokens_in, self.tokens_out)

    def lines(self) -> list[str]:
        """The estimate as text, line by line."""
        if not self.calls:
            return [f"queries            {self.queries}", "calls              0: no query has two candidates"]
        each = f"{self.pick_tokens:,.0f} and {self.rank_tokens:,.0f} a call, {self.source}"
        cost = f"{self.cost:,.2f}" if self.cost is not None else "give `price_in` and `price_out`"
        return [
            *(f"{name:<18} {number:,}" for name, number in self.datasets.items()),
            f"queries            {self.queries:,}",
            f"calls              {self.calls:,} (at most: a query without a relevant passage takes one)",
            f"tokens in          {self.tokens_in:,.0f} ({each})",
            f"tokens out         {self.tokens_out:,} ({PICK_NEW:,} and {RANK_NEW:,} a call, assumed)",
            f"money              {cost}",
        ]


def estimate(request: SynthesisRequest, *, say: Say = silent) -> SynthesisEstimate:
    """Calls, tokens and money, from the real prompts of the first queries; makes no call, writes nothing."""
    job = SynthesisJob.prepare(request)
    pools = [pool for pool in job.pools(SAMPLE, say=say) if len(pool.documents) >= 2]
    count, size = len(job.sources), request.lists.size
    if not pools:
        return SynthesisEstimate(count, 0, 0, 0, "", job.money)
    picks = [prompt_tokens(job.prompts.pick(pool.source, pool.documents)) for pool in pools]
    ranks = [prompt_tokens(job.prompts.rank(pool.source, pool.documents[:size])) for pool in pools]
    mean_pick, mean_rank = sum(picks) / len(picks), sum(ranks) / len(ranks)
    source = f"measured by words on {len(pools)} queries"
    return SynthesisEstimate(count, 2 * count, mean_pick, mean_rank, source, job.money)


def paper_estimate(
    *, pool: int = POOL, price_in: float | None = None, price_out: float | None = None
) -> SynthesisEstimate:
    """The estimate for the paper's lists, with the prompt length of the authors' own windows of 20 passages."""
    passage = WINDOW_PROMPT_TOKENS / 20
    lists = sum(PAPER_LISTS.values())
    web = PAPER_LISTS[_PAPER_WEB]
    shown = ((lists - web) * pool + web * min(pool, _PAPER_WEB_POOL)) / lists
    how = f"{passage:.0f} a passage, as in the authors' windows; pools of {pool}, {_PAPER_WEB} {_PAPER_WEB_POOL}"
    money = Money(price_in, price_out)
    return SynthesisEstimate(lists, 2 * lists, shown * passage, WINDOW_PROMPT_TOKENS, how, money, PAPER_LISTS)
