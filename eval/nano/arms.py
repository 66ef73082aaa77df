"""What is trained: the arms of the ablation and the shipped model, and the lists that each of them sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reasonrank_pyserini.errors import UnknownNameError

STAGE_SETTINGS = {
    "sft": ("steps=240", "order=given"),
    "grpo": ("keep_checkpoints=4",),
}
"""What is set over the recipe nano: in the ablation, fine-tuning takes the same steps on every kind of lists."""
CURVE_ARMS = ("grpo", "grpo-ndcg", "grpo-only")
"""The arms whose checkpoints are scored on held-out lists, for a curve."""
CURVE_KIND = "all"
"""The kind of those lists."""
FIRST_SEED = 1
"""Seeds of trainings count from here."""
BASE_SEED = 0
"""Of the exercises: every arm and seed starts from the same model, as the paper's from one Qwen2.5."""
MAIN = "grpo"
"""The whole recipe: every other arm is compared with it."""
FIRST_STAGE, PAPER_FIRST_STAGE = "first stage", 30.59
"""What every arm reranks, in the table's words, and the paper's nDCG@10 of it (ReasonIR on BRIGHT)."""
MIN_NDCG = {"filter": 0.4, "no-filter": 0.0}
"""The paper's threshold of the self-consistency filter, and none."""
POOL = 20
"""Candidates that the teacher picks from: BM25's first, so that a list has one to three relevant passages."""


@dataclass(frozen=True, slots=True)
class Lists:
    """A kind of lists, all of one teacher.

    `made`: with the self-consistency filter or without, by the names of `MIN_NDCG`. `sizes`: passages of the lists of
    fine-tuning, one list of each size for every topic; `reinforced`: the same of reinforcement. `pool`: candidates that
    the teacher picks from. `domain`: of the topics, or "" for all.
    """

    made: str
    sizes: tuple[int, ...] = (10, 7)
    reinforced: tuple[int, ...] = (10,)
    pool: int = POOL
    domain: str = ""


KINDS = {
    "all": Lists("filter"),
    "no-filter": Lists("no-filter"),
    "web": Lists("filter", domain="web"),
    "every-size": Lists("filter", sizes=tuple(range(2, 11)), reinforced=(3, 6, 8, 10), pool=30),
}
"""The lists of the arms. `every-size` is for the shipped model: users have lists of every length, and with 30
candidates instead of 20 the teacher names three passages in 16% of the lists instead of 4%."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A model that one training makes: `stage` sft or grpo, from the model of `start`, on the lists of `data`.

    `paper`: nDCG@10 on BRIGHT of the same arm of ReasonRank-7B (arXiv 2508.07050), None where it has none.
    """

    name: str
    title: str
    stage: str
    start: str
    data: str
    paper: float | None = None
    settings: tuple[str, ...] = ()

    @property
    def own_settings(self) -> tuple[str, ...]:
        """The stage's own settings, the arm's after them."""
        return (*STAGE_SETTINGS.get(self.stage if self.start else "", ()), *self.settings)


ARMS = (
    Arm("base", "before: exercises only", "sft", "", "exercises",
        settings=("scheduler=constant_with_warmup",)),
    Arm("grpo-only", "RL only", "grpo", "base", "all", 28.69),
    Arm("sft", "SFT only", "sft", "base", "all", 33.15),
    Arm(MAIN, "SFT + RL", "grpo", "sft", "all", 35.74),
    Arm("grpo-ndcg", "SFT + RL, nDCG-only reward", "grpo", "sft", "all", 34.20,
        settings=("recall_weight=0", "rbo_weight=0")),
    Arm("sft-no-filter", "no self-consistency filter, SFT", "sft", "base", "no-filter"),
    Arm("grpo-no-filter", "no self-consistency filter, SFT + RL", "grpo", "sft-no-filter", "no-filter", 34.20),
    Arm("sft-web", "web lists only, SFT", "sft", "base", "web"),
    Arm("grpo-web", "web lists only, SFT + RL", "grpo", "sft-web", "web", 30.08),
)  # fmt: skip
"""Those of the ablation, in the order of the table."""
SHIPPED = (
    Arm("sft-every-size", "lists of 2 to 10 passages, SFT", "sft", "base", "every-size",
        settings=("steps=540",)),
    Arm("grpo-every-size", "lists of 2 to 10 passages, SFT + RL", "grpo", "sft-every-size", "every-size",
        settings=("rounds=60",)),
)  # fmt: skip
"""Those of the shipped model, which no table compares with the paper's."""
_BY_NAME = {arm.name: arm for arm in (*ARMS, *SHIPPED)}


def chain(name: str) -> tuple[Arm, ...]:
    """The trainings that lead to an arm, in order, its own the last; UnknownNameError for no arm."""
    if name not in _BY_NAME:
        raise UnknownNameError("arm", name, _BY_NAME)
    arm = _BY_NAME[name]
    return (*(chain(arm.start) if arm.start else ()), arm)


def with_starts(names: Iterable[str]) -> list[Arm]:
    """The arms and all that they are trained from, each once, after what it needs."""
    return list(dict.fromkeys(arm for name in names for arm in chain(name)))


def kinds(arms: Iterable[Arm]) -> dict[str, Lists]:
    """The kinds of lists that the arms see, by name."""
    return {arm.data: KINDS[arm.data] for arm in arms if arm.start}
