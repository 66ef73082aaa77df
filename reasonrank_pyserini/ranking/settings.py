"""How a reranking is done: flag > data set > model profile > generic profile."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import InputError
from ..models.profiles import Profile
from ..prompts import STYLES, get_style
from ..prompts.forcing import CLOSING_TOKENS, answer_budget
from ..strategies import SlidingWindow
from ..types import Sampling
from .model_request import SettingOverrides

QUERY_ROOM = 8192
"""Tokens kept for a query's two appearances in a prompt where the queries are not known beforehand."""
TEMPLATE_ROOM = 512
"""Tokens kept for the system message, the instructions and the chat template."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes the result of a reranking, apart from model and input.

    `force_answer`: where no answer came, a second request asks only for the answer. `constrained`: the answer
    within the first request can only be a permutation, too (vllm in this process). `answer_k`: an answer of the
    first k identifiers is complete, 0 all. `compat` makes the authors' single, unconstrained request.
    """

    style: str
    window: int
    step: int
    passes: int
    depth: int
    passage_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int = 0
    compat: bool = False
    force_answer: bool = True
    constrained: bool = False
    answer_k: int = 0

    @classmethod
    def resolve(
        cls,
        profile: Profile,
        overrides: SettingOverrides = SettingOverrides(),  # noqa: B008 (frozen)
        *,
        dataset_passage_tokens: int | None = None,
    ) -> Settings:
        """The profile's values; the data set's passage length replaces the profile's, `overrides` replace both.

        Where a window is smaller than the profile's step and no step is given, the step is half the window.
        InputError for values out of range.
        """
        given = overrides.given()
        values = {f.name: getattr(profile, f.name) for f in fields(cls) if hasattr(profile, f.name)}
        values.setdefault("depth", 100)
        if dataset_passage_tokens is not None:
            values["passage_tokens"] = dataset_passage_tokens
        values.update(given)
        if "step" not in given and values["step"] > values["window"]:
            values["step"] = max(1, values["window"] // 2)
        if values.get("compat"):
            values["force_answer"] = False
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        get_style(self.style)
        for name in ("depth", "passage_tokens", "answer_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("reasoning_tokens", "answer_k"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}: it must be 0 or more")
        if not self.temperature >= 0 or not 0 < self.top_p <= 1:
            raise InputError(
                f"temperature {self.temperature} and top_p {self.top_p}: need >= 0 and in (0, 1]"
            )
        if self.compat and (self.constrained or self.answer_k):
            raise InputError(
                "`compat` makes one unconstrained request: leave out `compat`, or `constrained` and `answer_k`"
            )
        _ = self.strategy

    @property
    def strategy(self) -> SlidingWindow:
        return SlidingWindow(self.window, self.step, self.passes, compat=self.compat)

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            max_tokens=self.reasoning_tokens + self.answer_tokens,
            reasoning_tokens=self.reasoning_tokens,
            answer=STYLES[self.style].answer,
        )

    @property
    def room(self) -> int:
        """Tokens that a prompt leaves free: the first request's answer and what a second one adds to it."""
        if not self.force_answer:
            return self.sampling.max_tokens
        count = min(self.window, self.answer_k or self.window)
        second = CLOSING_TOKENS + answer_budget(self.answer_tokens, self.window, count)
        return self.sampling.max_tokens + second

    def context_needed(self, query_tokens: int = QUERY_ROOM) -> int:
        """Tokens that the longest prompt and its answer take: `query_tokens` for both appearances of the query."""
        passages = self.window * (self.passage_tokens + 16)
        return TEMPLATE_ROOM + query_tokens + passages + self.room

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
