"""How many tokens the requests of two rerankers take, and a judge that spends them on modelled GPUs.

ReasonRank: 5,687 tokens in for 20 passages is what its authors' code counted (`models/cost.py`); 420 of them are the
prompt without passages, with 112 tokens for each of the two places of the query, the mean of BRIGHT biology's. So a
passage, cut at 512 tokens, has 263. Rank1: 138 tokens are its prompt without the passage, for the same queries, 258 the
passage, which has no number here; Rank1 does not cut passages, so on long documents it takes more. An answer's
length is lognormal (sigma 0.5, cut to 50 tokens and to what the profile allows), drawn anew for each query and call.
Answers of ReasonRank have 750 tokens for 20 passages on average and are taken to be in proportion to the passages.
How long Rank1's are was not published; 300 is an assumption.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.models.cost import WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS
from reasonrank_pyserini.types import Prompt, Sampling, Verdict, Window

SIGMA, LEAST = 0.5, 50
DOCUMENTS = tuple(Document(str(rank), "") for rank in range(100))
"""A query's candidates; their ids are their places."""


@dataclass(frozen=True, slots=True)
class RequestTokens:
    """Tokens of a prompt without passages, and of its start, which all calls of a query share; of each passage; of
    an answer on average, for each passage and besides; the most that an answer may have. `prefix_cache`: the shared
    start is computed once a query."""

    frame: float
    shared: int
    passage: float
    answer: float
    answer_passage: float
    most: int
    sigma: float = SIGMA
    prefix_cache: bool = False

    def prompt(self, passages: int) -> int:
        return round(self.frame + self.passage * passages)

    def new(self, passages: int, chance: random.Random) -> int:
        mean = self.answer + self.answer_passage * passages
        drawn = mean * exp(chance.gauss(-self.sigma * self.sigma / 2, self.sigma))
        return round(min(max(drawn, LEAST), self.most))


FRAME = 420
REASONRANK = RequestTokens(
    frame=FRAME, shared=290, passage=(WINDOW_PROMPT_TOKENS - FRAME) / 20, answer=0,
    answer_passage=WINDOW_NEW_TOKENS / 20, most=3172,
)  # fmt: skip
RANK1 = RequestTokens(frame=138, shared=133, passage=258, answer=300, answer_passage=0, most=8192)


@dataclass(slots=True)
class Spent:
    """What the requests of a run took together."""

    calls: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0


class SpendingJudge:
    """Has every window answered by the engine at its length; `verdict_of` gives the order, by query."""

    def __init__(
        self,
        engine: ThrottledEngine,
        tokens: RequestTokens,
        verdict_of: Callable[[str], Callable[[Window], Verdict]],
        spent: Spent,
    ) -> None:
        self.engine, self.tokens, self.spent, self.verdict_of = engine, tokens, spent, verdict_of
        self._judges: dict[str, Callable[[Window], Verdict]] = {}

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        places, tokens = tuple(int(document.id) for document in documents), self.tokens
        started = query.id in self._judges
        if not started:
            self._judges[query.id] = self.verdict_of(query.id)
        verdict = self._judges[query.id](places)
        prompt = tokens.prompt(len(places))
        new = tokens.new(len(places), random.Random(f"{query.id}\0{window}"))
        known = tokens.shared if tokens.prefix_cache and started else 0
        spent = self.spent
        spent.calls += 1
        spent.prompt_tokens += prompt
        spent.new_tokens += new
        await self.engine.complete(Prompt(text=f"{prompt} {new} {known}"), Sampling())
        return verdict


def by_place(_: str) -> Callable[[Window], Verdict]:
    """Verdicts that keep every window's order, with scores."""
    return lambda window: Verdict(
        tuple(range(len(window))),
        scores=tuple(-float(place) for place in window) if len(window) == 1 else None,
    )
