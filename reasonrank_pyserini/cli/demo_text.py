"""What a demo prints: one query before and after with the model's reasoning, the scores, the files."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..datasets.nano.world import Topic, World
from ..evaluation.comparison import changes
from ..evaluation.report.report_scores import MEASURES, Scored, summary
from ..jobs.trace import TracedWindow, by_query, orders, read_trace
from ..runfile import read_qrels, read_run
from ..scoring import score
from .demo_stages import CANDIDATES, DemoFolder
from .show import clean

TOP = 5
"""Ranks shown of each order."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A finished demo, read from its files: judgements, scores and windows of every topic."""

    topics: Mapping[str, Topic]
    qrels: Mapping[str, Mapping[str, int]]
    scored: Scored
    windows: Mapping[str, Sequence[TracedWindow]]

    def values(self, id: str) -> tuple[float, float]:
        """The query's nDCG@10 before and after."""
        before, after = self.scored.before.per_query[id], self.scored.after.per_query[id]
        return before[MEASURES[0]], after[MEASURES[0]]


def read_result(folder: DemoFolder, topics: Sequence[Topic]) -> DemoResult:
    """What the files of a finished demo hold; the errors of their readers for files that are damaged."""
    qrels = read_qrels(folder.qrels)
    before, after = (
        score(qrels, read_run(path), MEASURES)
        for path in (folder.first_stage, folder.reranked / "run.trec")
    )  # fmt: skip
    known = {topic.id: topic for topic in topics}
    return DemoResult(known, qrels, Scored(before, after), by_query(read_trace(folder.reranked)))


def query_lines(result: DemoResult, query_id: str | None = None) -> list[str]:
    """One query's first ranks before and after, relevant passages marked, and what the model wrote last."""
    id = query_id or example_query(result)
    topic, steps = result.topics[id], result.windows[id]
    texts = {document.id: document.text for document in World.load().documents}
    before, after = orders(steps)
    places = {docid: rank for rank, docid in enumerate(before, 1)}
    numbers = {docid: f"[{number}]" for number, docid in enumerate(steps[-1].window, 1)}
    relevant, wide = result.qrels[id], max(map(len, texts))

    def line(rank: int, docid: str, more: str) -> str:
        return f"{rank:4} {'*' if docid in relevant else ' '} {docid:{wide}}  {more}{clean(texts[docid])}"

    first, last = result.values(id)
    note = ", one that gained much (--query ID shows another)" if query_id is None and last > first else ""
    return [
        f"query {id}{note}: {topic.text}",
        f"{MEASURES[0]} {first:.4f} before, {last:.4f} after; * is relevant",
        "",
        f"rank   BM25{'':{wide - 4}}  passage",
        *(line(rank, docid, "") for rank, docid in enumerate(before[:TOP], 1)),
        "",
        f"rank   reranked{'':{wide - 8}}  was  window  passage",
        *(
            line(rank, docid, f"{places[docid]:3}  {numbers.get(docid, ''):>6}  ")
            for rank, docid in enumerate(after[:TOP], 1)
        ),
        "",
        f"The model's own words on the last of {len(steps)} windows:",
        *_wrapped(steps[-1].reasoning),
        *_wrapped(steps[-1].answer),
    ]  # fmt: skip


def example_query(result: DemoResult) -> str:
    """The id of the query to show: of those reasoned about correctly, the one that gained most.

    Correctly: the last window's answer is complete, and its reasoning names the concept that the query describes. If
    there is none, the one that gained most; if none gained, the first.
    """
    gained = changes(result.scored.after, result.scored.before, MEASURES[0]).helped
    right = (id for id in gained if _right(result.topics[id].concept, result.windows[id][-1]))
    return next(right, next(iter(gained or result.topics)))


def score_lines(result: DemoResult) -> list[str]:
    """The means before and after and their difference, with bootstrap 95% intervals over the queries."""
    row = summary(result.scored)[0]
    won, same, lost = row["counts"]
    lines = [f"{row['measure']:10}    mean  95% interval (queries: {row['queries']})"]
    for name, key, sign in (
        ("BM25", "before", ""),
        ("reranked", "after", ""),
        ("difference", "difference", "+"),
    ):
        mean, low, high = row[key]
        lines.append(f"{name:10} {mean:{sign}7.4f}  {low:{sign}.4f}..{high:{sign}.4f}")
    return [*lines, f"queries: {won} gained, {lost} lost, {same} the same"]


def file_lines(folder: DemoFolder) -> list[str]:
    """Where everything is."""
    reranked = folder.reranked
    rows = (
        (folder.first_stage, f"BM25's first {CANDIDATES} for every query"),
        (reranked / "run.trec", "the reranked run"),
        (reranked / "trace.jsonl", "every window with the model's reasoning (reasonrank show)"),
        (reranked / "manifest.json", "settings, versions and counts"),
        (folder.qrels, "the judgements"),
        (folder.report, "all of it as one page for a browser"),
    )
    wide = max(len(str(path)) for path, _ in rows)
    return [f"{path!s:{wide}}  {what}" for path, what in rows]


def _right(concept: str, step: TracedWindow) -> bool:
    return step.status == "CLEAN" and f"describes {concept}." in step.reasoning


def _wrapped(text: str) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 110)
    return textwrap.wrap(clean(text), width, initial_indent="  ", subsequent_indent="  ")
