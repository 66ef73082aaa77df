"""Peak memory of a reranking against its number of queries, and what each query adds.

    python eval/bench/memory.py [--queries 100 1000 10000 100000] [--candidates 10] [--json FILE]

`library`: `Reranker.rerank_many` over requests that are made as they are read, rankings thrown away.
`command`: `reasonrank rerank --requests FILE --engine memory:FastEngine`, journal, trace and results included.
Every row is a new process. A model is not part of it: an engine answers at once, prompts are the toy model's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ratios import ROOT, write_figures

from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.types import Document, Prompt, Query, Sampling

MODEL = str(SHIPPED["nano"])


def answer(prompt: Prompt, sampling: Sampling) -> str:
    return "<think>all fit</think><answer>[2] > [1]</answer>"


class FastEngine(ScriptedEngine):
    """Answers at once; for `--engine memory:FastEngine`."""

    @classmethod
    def from_config(cls, config: EngineConfig) -> FastEngine:
        return cls(answer)


def requests(queries: int, candidates: int) -> Iterator[tuple[Query, list[Document]]]:
    """Requests of short made-up texts; docids are those of web pages, all different."""
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(3_000)]
    for number in range(queries):
        documents = [
            Document(f"page_{number}_{place}.txt", " ".join(chance.choices(words, k=12)))
            for place in range(candidates)
        ]
        yield Query(f"q{number}", " ".join(chance.choices(words, k=6))), documents


def library(queries: int, candidates: int) -> None:
    from transformers import AutoTokenizer

    from reasonrank_pyserini import Reranker
    from reasonrank_pyserini.prompts import PromptBuilder
    from reasonrank_pyserini.ranking.listwise_judge import LLMJudge

    engine = FastEngine(answer)
    builder = PromptBuilder("reasonrank", AutoTokenizer.from_pretrained(MODEL))
    with Reranker(LLMJudge(builder, engine, Sampling()), engine=engine) as reranker:
        assert sum(1 for _ in reranker.rerank_many(requests(queries, candidates))) == queries


def command(queries: int, candidates: int, folder: Path) -> None:
    from reasonrank_pyserini.cli import main

    arguments = ["rerank", "--requests", str(folder / "requests.jsonl"), "--model", MODEL]
    sys.argv = ["reasonrank", *arguments, "--engine", "memory:FastEngine", "-o", str(folder / "out")]
    sys.path.insert(0, str(Path(__file__).parent))
    with suppress(SystemExit):
        main()
    assert (folder / "out" / "manifest.json").is_file()


def write_requests(path: Path, queries: int, candidates: int) -> None:
    with path.open("w") as stream:
        for query, documents in requests(queries, candidates):
            found = [{"docid": d.id, "score": 1.0, "doc": {"contents": d.text}} for d in documents]
            record = {"query": {"qid": query.id, "text": query.text}, "candidates": found}
            stream.write(json.dumps(record) + "\n")


def measured(way: str, queries: int, candidates: int) -> float:
    """The peak of a new process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        if way == "command":
            write_requests(Path(folder) / "requests.jsonl", queries, candidates)
        script = [sys.executable, __file__, "--way", way, "--queries", str(queries)]
        done = subprocess.run(
            [*script, "--candidates", str(candidates), "--folder", folder],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"},
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-2_000:])
        return float(done.stdout.splitlines()[-1])


def report(sizes: list[int], candidates: int) -> dict[str, Any]:
    print(f"{candidates} candidates a query, one window each; each row is a new process")
    print(f"{'way':<10} {'queries':>9} {'peak, MiB':>10} {'bytes a query more':>20}")
    figures: dict[str, Any] = {"candidates": candidates}
    for way in ("library", "command"):
        peaks: list[float] = []
        for number, queries in enumerate(sizes):
            peaks.append(measured(way, queries, candidates))
            more = (peaks[-1] - peaks[-2]) / (queries - sizes[number - 1]) if number else None
            figures[f"{way} {queries}"] = {"peak_bytes": peaks[-1], "bytes_a_query_more": more}
            shown = f"{more:,.0f}" if more is not None else ""
            print(f"{way:<10} {queries:>9,} {peaks[-1] / 2**20:>10.1f} {shown:>20}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--queries", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=("library", "command"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way is None:
        write_figures(given.json, report(given.queries, given.candidates))
        return
    if given.way == "library":
        library(given.queries[0], given.candidates)
    else:
        command(given.queries[0], given.candidates, given.folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    main()
