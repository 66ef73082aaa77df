"""WeightedIntegerScorer: an integer times the probability of its token (ERank, section 3.2 of its paper)."""

from __future__ import annotations

import re
from dataclasses import replace

from ..prompts.answers.single_score import read_integer, weighted_integer
from ..types import Document, Query
from .asking import Asked, Asker, checked_logprobs, joined
from .pointwise_judge import ScoredAnswer

_ANSWER = re.compile(r"<answer>\s*(?=\d)", re.IGNORECASE)


class WeightedIntegerScorer:
    """Reads the integer of the last `<answer>`, then asks how probable its first token was at that place.

    What the authors' program does is not public. Here an integer of two tokens has the product of their probabilities,
    a token that is not among those logged has the smallest of them, and an answer without a plain integer, or that
    cannot be continued, has the integer alone, if any.
    """

    def __init__(self, asker: Asker) -> None:
        self.asker = asker

    async def score(self, query: Query, document: Document, seed: int) -> ScoredAnswer:
        asked = await self.asker.ask(query, [document], seed)
        answer = read_integer(asked.text, 1)
        if answer.scores is None:
            return ScoredAnswer(None, answer.status, asked)
        integer = int(answer.scores[0])
        places = list(_ANSWER.finditer(asked.completion.text))
        if not places or integer != answer.scores[0]:
            return ScoredAnswer(answer.scores[0], answer.status, asked)
        logprob, last = await self._logprob(
            asked, asked.completion.text[: places[-1].end()], str(integer), seed
        )
        return ScoredAnswer(weighted_integer(integer, logprob), answer.status, last)

    async def _logprob(self, asked: Asked, written: str, digits: str, seed: int) -> tuple[float, Asked]:
        """The log-probability of these digits after what was written, and the requests so far as one."""
        sampling = replace(
            self.asker.sampling, seed=seed, max_tokens=1, reasoning_tokens=0, stop=(), temperature=0.0
        )
        total, whole = 0.0, asked.completion
        for digit in digits:
            second = await self.asker.ask_on(asked, written, "", sampling)
            if second is None or not (logprobs := checked_logprobs(second)):
                break
            (id, *_) = self.asker.builder.token_ids(digit) or (-1,)
            total += logprobs.get(id, min(logprobs.values()))
            whole, written = joined(whole, "", replace(second, text="")), written + digit
        return total, Asked(asked.built, whole)
