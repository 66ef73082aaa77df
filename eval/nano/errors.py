"""What a nano model gets wrong, from the trace of its reranking: the answer's form, the concept, or the passages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.jobs.trace import read_trace


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the windows that show something relevant: answers in full, and concepts named right; of the latter, windows
    with all that is relevant on top, and the relevant passages of the first and the second half that the reasoning
    finds, None where there are none."""

    complete: float
    concept: float
    on_top: float
    early: float | None = None
    late: float | None = None


def shares(reranked: Path, split: str) -> Shares | None:
    """Those of a reranking of a test split; None without a trace, or without a window that counts."""
    if not (reranked / "trace.jsonl").exists():
        return None
    world = World.load()
    concepts = {topic.id: topic.concept for topic in world.topics(split)}
    qrels = world.qrels(split)
    windows = complete = named = on_top = 0
    found: dict[bool, list[bool]] = {False: [], True: []}
    for step in read_trace(reranked):
        judged, concept = qrels[step.query_id], concepts[step.query_id]
        places = [place for place, docid in enumerate(step.window, 1) if judged.get(docid, 0) > 0]
        if not places:
            continue
        windows += 1
        complete += step.status == "CLEAN"
        if f"describes {concept}." not in step.reasoning:
            continue
        named += 1
        on_top += all(judged.get(docid, 0) > 0 for docid in step.order[: len(places)])
        for place in places:
            found[place > len(step.window) // 2].append(f"[{place}] {concept} fits" in step.reasoning)
    if not windows:
        return None
    early, late = (sum(half) / len(half) if half else None for half in found.values())
    return Shares(complete / windows, named / windows, on_top / named if named else 0.0, early, late)
