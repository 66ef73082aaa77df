"""How a model judges: what its answer is, how often it is asked, what ends it; and what was published of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...files.toml_tables import Rule, list_of, number, one_of, text, truth, whole
from ...prompts.answers import KINDS, JudgeKind


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What is read of an answer and what is asked for.

    `reading` is a name of `prompts.answers.KINDS`. `samples`: answers to one request of a pointwise judge (their mean),
    or shuffles of one window of a setwise judge (their majority). `stop`: texts that end an answer. `logprobs`: how
    many token probabilities are asked for, 0 none. `shuffled`: the passages of a window are shown in random order.
    `scores_shown`: a listwise prompt shows each passage's first-stage score.
    """

    reading: str = "permutation"
    samples: int = 1
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    shuffled: bool = False
    scores_shown: bool = False

    @property
    def kind(self) -> JudgeKind:
        return KINDS[self.reading]

    def calls(self, windows: int, passages: int) -> int:
        """Requests for so many windows that show so many passages together."""
        if self.kind == "pointwise":
            return passages * self.samples
        return windows * self.samples if self.kind == "setwise" else windows

    def changed(self) -> dict[str, Any]:
        """The settings that are not ReasonRank's, by name."""
        usual, values = JudgeSettings(), asdict(self)
        return {
            field.name: values[field.name]
            for field in fields(self)
            if values[field.name] != getattr(usual, field.name)
        }


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """A published nDCG@10 x 100: of which model, on which first stage, in which source.

    `tasks` are in the order of the benchmark's tasks.
    """

    benchmark: str
    model: str
    first_stage: str
    average: float
    source: str
    tasks: tuple[float, ...] = ()


JUDGE_RULES: Mapping[str, Rule] = {
    "reading": one_of(*KINDS),
    "samples": whole(1, 1000),
    "stop": list_of(text, "a list of texts in quotes"),
    "logprobs": whole(0, 1000),
    "shuffled": truth,
    "scores_shown": truth,
}
PUBLISHED_RULES: Mapping[str, Rule] = {
    "benchmark": text,
    "model": text,
    "first_stage": text,
    "average": number(0, 100),
    "source": text,
    "tasks": list_of(number(0, 100), "a list of numbers from 0 to 100"),
}
