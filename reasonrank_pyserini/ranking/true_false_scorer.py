"""TrueFalseScorer: the probability of true against false at the end of the reasoning (Rank1)."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from ..errors import InputError
from ..prompts.answers.true_false import CLOSING, forced_ending, true_probability
from ..types import Completion, Document, ParseStatus, Query
from .asking import Asked, Asker, checked_logprobs, joined
from .pointwise_judge import ScoredAnswer

UNDECIDED = 0.5
"""The score where neither request gives both probabilities."""


class WordIds(NamedTuple):
    """The first token ids in which ` true` and ` false` differ, after `shared`; `single`: each word is one token."""

    true: int
    false: int
    shared: str
    single: bool


class TrueFalseScorer:
    """Reads p(true) / (p(true) + p(false)) of the last token, and asks for that token alone where it is not there.

    The first answer counts only if it ended by itself at one of its stop texts; `compat` counts any answer whose last
    position has both words among its logged tokens, as the authors' program does. Where a word is not one token the
    second request is always made, and the first token in which they differ counts.
    """

    def __init__(self, asker: Asker, *, compat: bool = False) -> None:
        """InputError without a tokenizer, and for one that gives both words the same tokens."""
        self.asker, self._compat = asker, compat
        self.ids = word_ids(asker)

    async def score(self, query: Query, document: Document, seed: int) -> ScoredAnswer:
        asked = await self.asker.ask(query, [document], seed)
        found = self._first(asked.completion)
        status = ParseStatus.CLEAN
        if found is None:
            asked = await self._forced(asked, seed)
            logprobs = asked.completion.logprobs if self._compat else checked_logprobs(asked.completion)
            found = true_probability(logprobs, self.ids.true, self.ids.false)
            status = ParseStatus.REPAIRED
        if found is None or (math.isnan(found) and not self._compat):
            return ScoredAnswer(UNDECIDED, ParseStatus.REPAIRED, asked)
        return ScoredAnswer(found, status, asked)

    def _first(self, completion: Completion) -> float | None:
        ended = completion.finish_reason == "stop" and self.ids.single
        if not (ended or self._compat):
            return None
        found = true_probability(completion.logprobs, self.ids.true, self.ids.false)
        return None if found is not None and math.isnan(found) and not self._compat else found

    async def _forced(self, asked: Asked, seed: int) -> Asked:
        """The second request: the reasoning, closed, and one token that is true or false."""
        first, ids = asked.completion, self.ids
        ending = forced_ending(first.text, self._compat)
        sampling = replace(
            self.asker.sampling,
            seed=seed, max_tokens=1, reasoning_tokens=0, stop=(), temperature=0.0,
            allowed_ids=(ids.true, ids.false),
        )  # fmt: skip
        kept, closing = ending.removesuffix(CLOSING), CLOSING + ids.shared
        second = await self.asker.ask_on(asked, kept, closing, sampling)
        assert second is not None  # a prompt of this scorer has ids
        return Asked(asked.built, joined(first, f"{ending}{ids.shared}", second))


def word_ids(asker: Asker) -> WordIds:
    """The ids of ` true` and ` false` in the builder's tokenizer."""
    words = [asker.builder.token_ids(word) for word in (" true", " false")]
    if words[0] is None or words[1] is None:
        raise InputError(
            "true against false is read from token probabilities, which need the model's tokenizer: "
            "use `api` completions"
        )
    true, false = words[0], words[1]
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(true, false, strict=False)))
    if same >= min(len(true), len(false)):
        raise InputError("the tokenizer does not tell ` true` from ` false`: give another `tokenizer`")
    return WordIds(true[same], false[same], " " if same else "", len(true) == len(false) == 1)
