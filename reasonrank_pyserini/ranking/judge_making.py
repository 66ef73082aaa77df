"""The judge that settings describe: listwise, groupwise, setwise or pointwise."""

from __future__ import annotations

from ..engines import Engine
from ..errors import InputError
from ..prompts import MessageStyle, PromptBuilder, get_style
from ..prompts.forcing import CLOSING_TOKENS
from ..prompts.prompt_thread import PromptThread
from .asking import Asker
from .group_judges import GroupwiseJudge, SetwiseJudge
from .judge import Judge
from .listwise_judge import LLMJudge
from .pointwise_judge import PointwiseJudge, Scorer, TextScorer
from .score_showing_judge import ScoreShowingJudge
from .settings import Settings
from .true_false_scorer import TrueFalseScorer
from .weighted_integer_scorer import WeightedIntegerScorer


class JudgeMaker:
    """Makes judges that share an engine and the thread in which prompts are built."""

    def __init__(self, settings: Settings, engine: Engine, prompt_thread: PromptThread) -> None:
        self._settings, self._engine, self._thread = settings, engine, prompt_thread

    def judge(self, builder: PromptBuilder, repeat: int = 0) -> Judge:
        """The judge with these prompts; repeat i has seeds of its own."""
        settings = self._settings
        judging, seed, compat = settings.judge, settings.seed + repeat, settings.compat
        if judging.kind == "listwise":
            return self._listwise(builder, seed)
        spare = CLOSING_TOKENS if judging.logprobs else 0
        asker = Asker(builder, self._engine, settings.sampling, self._thread, spare=spare)
        if judging.kind == "groupwise":
            return GroupwiseJudge(asker, judging.reading, seed=seed, compat=compat)
        if judging.kind == "setwise":
            return SetwiseJudge(
                asker,
                judging.reading,
                shuffled=judging.shuffled,
                samples=judging.samples,
                seed=seed,
                compat=compat,
            )
        return PointwiseJudge(self._scorer(asker), samples=judging.samples, seed=seed, compat=compat)

    def _scorer(self, asker: Asker) -> Scorer:
        reading, compat = self._settings.judge.reading, self._settings.compat
        if reading == "true-false":
            return TrueFalseScorer(asker, compat=compat)
        if reading == "integer" and self._settings.judge.logprobs:
            return WeightedIntegerScorer(asker)
        return TextScorer(asker, reading, compat=compat)

    def _listwise(self, builder: PromptBuilder, seed: int) -> Judge:
        settings = self._settings
        judge = LLMJudge(
            builder,
            self._engine,
            settings.sampling,
            seed=seed,
            compat=settings.compat,
            force_answer=settings.force_answer,
            constrained=settings.constrained,
            answer_k=settings.answer_k,
            reading=settings.judge.reading,
            prompt_thread=self._thread,
        )
        shows = isinstance(builder.style, MessageStyle) and builder.style.shows_scores
        return ScoreShowingJudge(judge, compat=settings.compat) if shows else judge


def check_reachable(settings: Settings, api: str) -> None:
    """InputError where the answer cannot be had through the API."""
    style = get_style(settings.style)
    if api != "chat":
        return
    if isinstance(style, MessageStyle) and not style.chat:
        raise InputError(f"style {style.name} is plain text, not a chat: use `api` completions")
    if settings.judge.logprobs:
        raise InputError(
            f"reading {settings.judge.reading!r} uses token probabilities, which need `api` completions"
        )
