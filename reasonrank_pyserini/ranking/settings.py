"""How a reranking is done: flag > data set > model profile > generic profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError
from ..models.profiles import JudgeSettings, Profile
from ..prompts import MessageStyle, get_style
from ..prompts.forcing import CLOSING_TOKENS, answer_budget
from ..strategies import RankingStrategy
from ..strategies.budget import Budget
from ..types import Sampling
from .authors_windows import PROGRAMS, AuthorsWindows, Program
from .first_stage_fusion import FirstStageFusion
from .model_request import SettingOverrides
from .setting_effects import check_effects
from .strategy_settings import DEFAULT_STRATEGY, drop_replaced, fold_options, make_strategy

QUERY_ROOM = 8192
"""Tokens kept for a query's two appearances in a prompt where the queries are not known beforehand."""
TEMPLATE_CHARACTERS = 2
"""Characters a token, at the least, of the texts of a style of chat turns."""
TEMPLATE_ROOM = 512
"""Tokens kept for the system message, the instructions and the chat template."""
BUDGET_QUERY_TOKENS = 1024
"""Tokens of a query's two appearances that a budget of tokens counts in each call."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes the result of a reranking, apart from model and input.

    `force_answer`: where no answer came, a second request asks only for the answer. `constrained`: the answer
    within the first request can only be a permutation, too (engine vllm). `answer_k`: an answer of the
    first k identifiers is complete, 0 all. `compat` makes the authors' single, unconstrained request.
    `strategy`: a name of `strategies.STRATEGIES` or module:attribute, with its options in `strategy_args`; its
    `size`, `step`, `passes`, `seed` and `compat` are the settings `window`, `step`, `passes`, `seed` and `compat`
    (`passes` only where there is more than one). `budget`: calls (8calls) or tokens (20000tokens) of a query; a
    window takes as many calls as `JudgeSettings.calls` says.
    `fuse`: the reranked order is fused with the first stage (rrf, min-max, z-score), `fuse_weight` being the
    reranker's share; see `first_stage_fusion.FirstStageFusion`. It changes no window.
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
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    strategy: str = DEFAULT_STRATEGY
    strategy_args: Mapping[str, Any] = field(default_factory=dict)
    budget: str | None = None
    fuse: str | None = None
    fuse_weight: float = 0.5

    @classmethod
    def resolve(
        cls,
        profile: Profile,
        overrides: SettingOverrides = SettingOverrides(),  # noqa: B008 (frozen)
        *,
        dataset_passage_tokens: int | None = None,
        oracle: bool = False,
    ) -> Settings:
        """The profile's values; the data set's passage length replaces the profile's, `overrides` replace both.

        Where a window is smaller than the profile's step and no step is given, the step is half the window.
        `oracle`: no model judges. InputError for values out of range, and for overrides that have no effect.
        """
        given = overrides.given()
        values = {f.name: getattr(profile, f.name) for f in fields(cls) if hasattr(profile, f.name)}
        values.setdefault("depth", 100)
        if dataset_passage_tokens is not None and not profile.own_passage_tokens:
            values["passage_tokens"] = dataset_passage_tokens
        if given.get("strategy", values.get("strategy")) != values.get("strategy"):
            values.pop("strategy_args", None)
        values.update(given)
        drop_replaced(values, given)
        if values.get("budget") is not None:
            values["budget"] = str(Budget.read(values["budget"]))
        chosen = given.keys() | fold_options(values, given)
        if "step" not in chosen and values["step"] > values["window"]:
            values["step"] = max(1, values["window"] // 2)
        if values.get("compat"):
            values["force_answer"] = False
        settings = cls(**values)
        if "fuse_weight" in given and settings.fuse is None:
            raise InputError("`fuse_weight` belongs to `fuse` rrf, min-max or z-score")
        settings._check_given(given, oracle)
        settings._check()
        return settings

    def _check_given(self, given: Mapping[str, Any], oracle: bool) -> None:
        """InputError for a given setting that nothing uses."""
        program = self._authors_program
        check_effects(
            given, self.strategy, None if oracle else self.judge, options=program and ("size", "step")
        )
        if program and self.strategy_args and "strategy_args" in given:
            raise InputError(
                f"`compat` takes the windows of {program}'s program: leave {', '.join(self.strategy_args)} of "
                "`strategy_args` out"
            )
        if self.compat and given.get("force_answer"):
            raise InputError("`compat` makes one request: leave out `compat` or `force_answer`")

    def _check(self) -> None:
        self._check_style()
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
        _ = self.ranking_strategy, self.fusion

    @property
    def ranking_strategy(self) -> RankingStrategy:
        """The strategy that the settings describe; raises as `strategies.named_strategy`."""
        if (program := self._authors_program) is not None:
            return AuthorsWindows(program, self.window, self.step, self.depth)
        shared = {"size": self.window, "children": self.window - 1, "step": self.step, "seed": self.seed}
        if self.compat:
            shared["compat"] = True
        if self.passes != 1:
            shared["passes"] = self.passes
        if self.budget is not None:
            shared["budget"] = self._windows_of(Budget.read(self.budget))
        return make_strategy(self.strategy, self.strategy_args, shared)

    @property
    def fusion(self) -> FirstStageFusion | None:
        """How the reranked order is fused with the first stage; None for not at all."""
        return None if self.fuse is None else FirstStageFusion(self.fuse, self.fuse_weight)

    @property
    def _authors_program(self) -> Program | None:
        """Whose windows `compat` stands for, where they are not those of the strategy."""
        own = self.compat and self.strategy == DEFAULT_STRATEGY
        return PROGRAMS.get(self.judge.reading) if own else None

    def _windows_of(self, budget: Budget) -> int:
        """The windows that the budget pays for, each of the size `window`; InputError where it pays for none."""
        calls = budget.calls(self.context_needed(BUDGET_QUERY_TOKENS))
        each = self.judge.calls(1, self.window)
        if calls < each:
            raise InputError(
                f"`budget` {budget} pays for {calls} calls, one window takes {each} (reading "
                f"{self.judge.reading!r} is {self.judge.kind}): give more or a smaller `window`"
            )
        return calls // each

    def calls(self, n: int) -> int:
        """Requests of a query of `n` candidates, without second ones for an answer that is missing.

        An upper bound where the calls vary (`calls_vary`).
        """
        strategy = self.ranking_strategy
        return self.judge.calls(strategy.calls(n), strategy.passages(n))

    @property
    def calls_vary(self) -> bool:
        """Whether the strategy's windows and calls are an upper bound."""
        return bool(getattr(self.ranking_strategy, "varies", False))

    def passages_a_call(self, n: int) -> float:
        """The mean number of passages that a call shows, for `n` candidates."""
        strategy = self.ranking_strategy
        if self.judge.kind == "pointwise":
            return min(1, strategy.calls(n))
        return strategy.passages(n) / (strategy.calls(n) or 1)

    def strategy_entry(self) -> dict[str, Any]:
        """What a configuration says of strategy and fusion: nothing of the default, so that earlier results are the
        same."""
        named = {"strategy": self.strategy, "strategy_args": dict(self.strategy_args), "budget": self.budget}
        default: dict[str, Any] = {"strategy": DEFAULT_STRATEGY, "strategy_args": {}, "budget": None}
        fused = {} if self.fuse is None else {"fuse": self.fuse, "fuse_weight": self.fuse_weight}
        return {name: value for name, value in named.items() if value != default[name]} | fused

    def _check_style(self) -> None:
        """InputError where the prompt does not show what the judge judges."""
        style, kind = get_style(self.style), self.judge.kind
        alone = isinstance(style, MessageStyle) and style.shows_one
        if self.judge.scores_shown and kind != "listwise":
            raise InputError(
                f"`scores_shown` is for listwise judges, reading {self.judge.reading!r} is {kind}"
            )
        if alone != (kind == "pointwise"):
            shows = "one passage" if alone else "several passages"
            raise InputError(
                f"style {self.style} shows {shows}, a {kind} judge (reading {self.judge.reading!r}) needs "
                f"{'one' if kind == 'pointwise' else 'several'}: change `style` or the profile's `reading`"
            )

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            max_tokens=self.reasoning_tokens + self.answer_tokens,
            reasoning_tokens=self.reasoning_tokens,
            answer=get_style(self.style).answer,
            stop=self.judge.stop,
            logprobs=self.judge.logprobs or None,
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
        shown = 1 if self.judge.kind == "pointwise" else self.window
        passages = shown * (self.passage_tokens + 16)
        style = get_style(self.style)
        own = style.characters(shown) // TEMPLATE_CHARACTERS if isinstance(style, MessageStyle) else 0
        return TEMPLATE_ROOM + own + query_tokens + passages + self.room

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        for name in ("strategy", "strategy_args", "budget", "fuse", "fuse_weight", "judge"):
            del values[name]
        return {**values, **self.strategy_entry()} | (
            {"judge": changed} if (changed := self.judge.changed()) else {}
        )
