"""What a nano model gets wrong, from the trace of its reranking: the answer's form, the concept, or the passages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.jobs.trace import read_trace


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the windows that show something relevant: answers in full, and concepts named right; of the latter,
    windows with all that is relevant on top."""

    complete: float
    concept: float
    on_top: float


def shares(reranked: Path) -> Shares | None:
    """Those of a reranking of nano/test; None without a trace, or without a window that counts."""
    if not (reranked / "trace.jsonl").exists():
        return None
    world = World.load()
    concepts = {topic.id: topic.concept for topic in world.topics("test")}
    qrels = world.qrels("test")
    windows = complete = named = on_top = 0
    for step in read_trace(reranked):
        relevant = {docid for docid in step.window if qrels[step.query_id].get(docid, 0) > 0}
        if not relevant:
            continue
        windows += 1
        complete += step.status == "CLEAN"
        if f"describes {concepts[step.query_id]}." in step.reasoning:
            named += 1
            on_top += set(step.order[: len(relevant)]) == relevant
    if not windows:
        return None
    return Shares(complete / windows, named / windows, on_top / named if named else 0.0)
