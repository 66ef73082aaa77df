"""What a synthesis will take, before a call is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...models.cost import WINDOW_PROMPT_TOKENS
from .synthesis_folder import Money
from .teacher import prompt_tokens

if TYPE_CHECKING:
    from .synthesis_job import SynthesisJob

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


def estimate(job: SynthesisJob) -> list[str]:
    """Lines for the user: calls, tokens and money, from prompts really built for the first queries."""
    pools = [pool for pool in job.pools(SAMPLE) if len(pool.documents) >= 2]
    count, size = len(job.sources), job.flags["list_size"]
    if not pools:
        return [f"queries            {count}", "calls              0: no query has two candidates"]
    picks = [prompt_tokens(job.prompts.pick(pool.source, pool.documents)) for pool in pools]
    ranks = [prompt_tokens(job.prompts.rank(pool.source, pool.documents[:size])) for pool in pools]
    mean_pick, mean_rank = sum(picks) / len(picks), sum(ranks) / len(ranks)
    how = f"measured by words on {len(pools)} queries"
    return [f"queries            {count}", *_bill(count, mean_pick, mean_rank, how, job.money)]


def paper_estimate(flags: Mapping[str, Any]) -> list[str]:
    """The same for the paper's lists, with the prompt length of the authors' own windows of 20 passages."""
    passage = WINDOW_PROMPT_TOKENS / 20
    lists = sum(PAPER_LISTS.values())
    web = PAPER_LISTS[_PAPER_WEB]
    pool = flags["pool"]
    shown = ((lists - web) * pool + web * min(pool, _PAPER_WEB_POOL)) / lists
    how = f"{passage:.0f} a passage, as in the authors' windows; pools of {pool}, {_PAPER_WEB} {_PAPER_WEB_POOL}"
    return [
        *(f"{name:<18} {number:,}" for name, number in PAPER_LISTS.items()),
        f"lists              {lists:,}",
        *_bill(
            lists, shown * passage, WINDOW_PROMPT_TOKENS, how, Money(flags["price_in"], flags["price_out"])
        ),
    ]


def _bill(count: int, pick: float, rank: float, how: str, money: Money) -> list[str]:
    read, written = count * (pick + rank), count * (PICK_NEW + RANK_NEW)
    cost = money.cost(read, written)
    return [
        f"calls              {2 * count:,} (at most: a query without a relevant passage takes one)",
        f"tokens in          {read:,.0f} ({pick:,.0f} and {rank:,.0f} a call, {how})",
        f"tokens out         {written:,} ({PICK_NEW:,} and {RANK_NEW:,} a call, assumed)",
        "money              " + (f"{cost:,.2f}" if cost is not None else "give --price-in and --price-out"),
    ]
