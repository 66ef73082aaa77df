"""OraclePlan: a reranking by the judgements themselves, to see what a first stage allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.caches import fingerprint
from ..models.profiles import GENERIC, shipped_profile
from .judge import RoutedJudge, TaskKey
from .model_request import SettingOverrides
from .oracle_judge import OracleJudge
from .reranker_parts import RerankerParts
from .settings import Settings


@dataclass(frozen=True, slots=True)
class OraclePlan:
    """A reranking without a model: an OracleJudge over `qrels`, the ceiling of first stage and strategy.

    `noise` as in `judge.OracleJudge`. `qrels` maps task names to judgements; a single task has the name "".
    """

    settings: Settings
    qrels: Mapping[str, Mapping[str, Mapping[str, int]]]
    noise: float = 0.0

    @classmethod
    def make(
        cls,
        qrels: Mapping[str, Mapping[str, Mapping[str, int]]],
        noise: float = 0.0,
        overrides: SettingOverrides = SettingOverrides(),  # noqa: B008 (frozen)
    ) -> OraclePlan:
        """With the generic profile's window and step where `overrides` has none."""
        return cls(Settings.resolve(shipped_profile(GENERIC), overrides, oracle=True), qrels, noise)

    def configuration(self) -> dict[str, Any]:
        settings = self.settings
        names = ("window", "step", "passes", "depth", "seed", "compat")
        return {
            "judge": "oracle",
            "noise": self.noise,
            "qrels": fingerprint(self.qrels),
            "settings": {**{name: getattr(settings, name) for name in names}, **settings.strategy_entry()},
        }

    def manifest_entry(self) -> dict[str, Any]:
        return {"model": None, "revision": None, "engine": None, "judge": {"oracle": {"noise": self.noise}}}

    def preflight(self) -> tuple[str, ...]:
        return ()

    def tokenizer(self) -> None:
        return None

    def parts(
        self,
        *,
        tokenizer: Any | None = None,
        journal: str | Path | None = None,
        repeats: int = 1,
        replay: Any | None = None,
    ) -> RerankerParts:
        """As `Plan.parts`; there is nothing to tokenize, to record or to replay."""
        settings = self.settings
        judges = {
            TaskKey(task, i): OracleJudge(qrels, self.noise, settings.seed + i)
            for task, qrels in self.qrels.items()
            for i in range(repeats)
        }
        judge = RoutedJudge(judges.__getitem__)
        return RerankerParts(judge, None, settings.ranking_strategy, settings.depth, settings.fusion)
