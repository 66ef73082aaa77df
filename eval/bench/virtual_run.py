"""The real Reranker, its scheduler and its gate in virtual time, with modelled GPUs behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest.mock import patch

from simulated_gpu import SimulatedGpus, Speed
from virtual_time import VirtualLoop

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.priority import PATIENCE
from reasonrank_pyserini.models.cost import MAX_BATCH
from reasonrank_pyserini.ranking import scheduler
from reasonrank_pyserini.ranking.judge import Judge
from reasonrank_pyserini.strategies import RankingStrategy

SURPLUS = 1.25
"""Windows in flight over those that a GPU runs together."""
Request = tuple[Query, Sequence[Document]]


@dataclass(frozen=True, slots=True)
class VirtualServers:
    """That many GPUs of one speed, `requests` in flight at each, and how they and the gate choose what is next."""

    speed: Speed
    count: int = 1
    requests: int = round(SURPLUS * MAX_BATCH)
    ordered: bool = True
    patience: int = PATIENCE

    def ends(
        self,
        make_judge: Callable[[ThrottledEngine], Judge],
        batches: Sequence[Sequence[Request]],
        strategy: RankingStrategy | None = None,
    ) -> list[float]:
        """When each ranking was there, in virtual seconds; the batches run one after the other."""
        loop = VirtualLoop()
        virtual = patch.object(asyncio, "new_event_loop", lambda: loop)
        with virtual, patch.object(scheduler, "PATIENCE", self.patience):
            gpus = SimulatedGpus(self.speed, self.count, self.requests, ordered=self.ordered)
            engine = ThrottledEngine(gpus, patience=self.patience)
            with Reranker(make_judge(engine), engine=engine, strategy=strategy) as reranker:
                loop.busy = lambda: bool(reranker.background.running)
                ends = [loop.now for batch in batches for _ in reranker.rerank_many(batch)]
        assert len(ends) == sum(map(len, batches))
        return ends
