"""Rerank folders for the report's tests, made by the real machinery with a judge that writes like a model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.jobs.manifest import WindowCounts
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.ranking.oracle_judge import OracleJudge
from reasonrank_pyserini.strategies import SlidingWindow
from reasonrank_pyserini.types import Candidate, Completion, Verdict

Writer = Callable[[Query, Sequence[Document], Sequence[int]], str]

SYLLABLES = [a + b for a in "bcdfglmnprstv" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "or", "us")]


def words(seed: int, size: int = 4000) -> tuple[list[str], list[float]]:
    """A vocabulary and frequencies that fall as those of a natural language do."""
    rng = random.Random(seed)
    found = ["".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3)))) for _ in range(size)]
    total, weights = 0.0, []
    for rank in range(1, size + 1):
        total += 1 / rank
        weights.append(total)
    return found, weights


class Prose:
    """Text of as many characters as asked for, as hard to compress as a natural language."""

    def __init__(self, seed: int = 0, characters: int = 4_000_000) -> None:
        found, weights = words(seed)
        self.rng = random.Random(seed)
        self.text = " ".join(self.rng.choices(found, cum_weights=weights, k=characters // 4))[:characters]

    def __call__(self, characters: int) -> str:
        begin = self.rng.randrange(len(self.text) - characters)
        return self.text[begin : begin + characters]


def plain(query: Query, documents: Sequence[Document], order: Sequence[int]) -> str:
    """Reasoning that names the first three, then the whole answer."""
    best = " ".join(f"[{index + 1}] fits because it speaks of {documents[index].id}." for index in order[:3])
    answer = " > ".join(f"[{index + 1}]" for index in order)
    return f"<think>\nThe query asks: {query.text}\n{best}\n</think>\n<answer> {answer} </answer>"


@dataclass
class WritingJudge:
    """An oracle with noise whose order is parsed back from the text that `writer` makes of it."""

    oracle: OracleJudge
    writer: Writer = plain
    failing: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        if (query.id, window) in self.failing:
            raise RuntimeError("the server said no")
        ideal = await self.oracle.judge(query, documents, window)
        text = self.writer(query, documents, ideal.order)
        parsed = parse(text, len(documents))
        tokens = sum(len(document.text) for document in documents) // 4
        completion = Completion(
            text, prompt_tokens=tokens, completion_tokens=len(text) // 4, seconds=len(text) / 1000
        )
        return Verdict(parsed.order, parsed.status, completion=completion)


def rerank(
    folder: Path,
    run: Mapping[str, Sequence[str]],
    *,
    queries: Mapping[str, str],
    texts: Mapping[str, str] | None = None,
    judge: Any,
    manifest: Mapping[str, Any] | None = None,
    window: tuple[int, int] = (20, 10),
) -> Path:
    """A finished folder of `reasonrank rerank`, as its command line writes it."""
    texts, tally = texts or {}, WindowCounts()
    settings = {"window": window[0], "step": window[1], "passes": 1, "depth": 100}
    configuration = {"model": "scripted", "settings": settings, "queries": list(run)}
    orders: dict[str, tuple[str, ...]] = dict.fromkeys(run, ())
    with RunFolder(folder, configuration) as target:

        def observe(query: Query, step: Any) -> None:
            target.trace(query, step)
            tally.add(step)

        def request(id: str) -> tuple[Query, list[Candidate]]:
            documents = (Document(doc, texts.get(doc, "")) for doc in run[id])
            return Query(id, queries.get(id, "")), [
                Candidate(one, -float(n), n) for n, one in enumerate(documents, 1)
            ]

        with Reranker(judge, strategy=SlidingWindow(*window), on_error="keep", observe=observe) as reranker:
            for ranking in reranker.rerank_many(map(request, run)):
                orders[ranking.query.id] = ranking.ids
        made = {
            "version": "0.1.0", "command": ["reasonrank", "rerank"], "model": "scripted", "revision": None,
            "engine": {"name": "scripted", "max_model_len": 32768}, "settings": settings, "inputs": {},
            "environment": {"python": "3", "packages": {"torch": "2"}}, "queries": len(run), **tally.as_dict(),
            "seconds": 12.5, **(manifest or {}),
        }  # fmt: skip
        target.finish(orders, "reasonrank", made)
    return folder


def corpus(path: Path, texts: Mapping[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": id, "contents": text}) + "\n" for id, text in texts.items()))
    return path


def large(
    folder: Path, queries: int, depth: int = 100, reasoning: int = 3000, passage: int = 300
) -> dict[str, Path]:
    """Rerank folder, corpus, topics, qrels and first-stage run of a made-up collection of that size."""
    prose, rng = Prose(1), random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    topics = {f"q{number}": prose(400) for number in range(queries)}
    run = {id: [f"{id}/passage_{rank}.txt" for rank in range(depth)] for id in topics}
    texts = {doc: prose(passage + 100) for docs in run.values() for doc in docs}
    qrels = {id: dict.fromkeys(rng.sample(docs, 5), 1) for id, docs in run.items()}

    def writer(query: Query, documents: Sequence[Document], order: Sequence[int]) -> str:
        answer = " > ".join(f"[{index + 1}]" for index in order)
        return f"<think>{prose(reasoning)}</think><answer>{answer}</answer>"

    rerank(folder / "out", run, queries=topics, judge=WritingJudge(OracleJudge(qrels, noise=0.6), writer))
    corpus(folder / "corpus.jsonl", texts)
    (folder / "topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in topics.items()))
    (folder / "qrels.txt").write_text(
        "".join(f"{id} 0 {doc} {grade}\n" for id, grades in qrels.items() for doc, grade in grades.items())
    )
    (folder / "run.trec").write_text(
        "".join(
            f"{id} Q0 {doc} {rank} {-rank} t\n"
            for id, docs in run.items()
            for rank, doc in enumerate(docs, 1)
        )
    )
    files = {"corpus": "corpus.jsonl", "topics": "topics.tsv", "qrels": "qrels.txt", "run": "run.trec"}
    return {"out": folder / "out"} | {name: folder / file for name, file in files.items()}
