"""BRIGHT as its files: examples, documents and runs, small ones of our own or those of the reference data.

The passages' texts are synthetic ("passage <id> of <task>"): what is tested with them is the machinery.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer

REAL = ("biology", "earth-science", "economics", "stackoverflow", "leetcode", "theoremqa-theorems")
"""The tasks of which the reference data has topics, qrels and runs."""
VARIANTS = ("gpt4_reason",)
RADER = "BRIGHT_score_files/RaDeR-gte-Qwen2-LLMq_CoT_lexical"


@dataclass
class World:
    """A folder of runs, and the files that a hub and a GitHub serve for the same tasks."""

    folder: Path
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def add(self, task: str, examples: Sequence[Mapping[str, Any]], run: Mapping[str, Sequence[str]]) -> None:
        """A task with these examples (query, id, gold_ids, excluded_ids) and this first stage."""
        rows = [{"reasoning": "", "gold_ids_long": [], "gold_answer": "", **row} for row in examples]
        name = f"{task.replace('-', '_')}-00000-of-00001.parquet"
        self.files[f"datasets/xlangai/BRIGHT/examples/{name}"] = parquet(rows)
        for variant in VARIANTS:
            rewritten = [{**row, "query": f"rewritten {row['query']}"} for row in rows]
            self.files[f"datasets/xlangai/BRIGHT/{variant}/{name}"] = parquet(rewritten)
        ids = dict.fromkeys(id for hits in run.values() for id in hits)
        ids |= dict.fromkeys(id for row in rows for id in row["gold_ids"])
        texts = [{"id": id, "content": f"passage {id} of {task}"} for id in ids]
        self.files[f"datasets/xlangai/BRIGHT/documents/{name}"] = parquet(texts)
        self.runs.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{query} Q0 {id} {rank} {1000 - rank} first\n"
            for query, hits in run.items()
            for rank, id in enumerate(hits, 1)
        ]
        (self.runs / f"{task}.trec").write_text("".join(lines))

    def environment(self, server: HubServer) -> dict[str, str]:
        """The environment of a process that sees this world and nothing else."""
        tables = self.folder / "tables"
        tables.mkdir(exist_ok=True)
        shipped = (resources.files("reasonrank_pyserini.datasets") / "bright.toml").read_text()
        (tables / "bright.toml").write_text(shipped.partition("[files]")[0] + "[files]\n")  # no checksums
        return {
            **os.environ,
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "REASONRANK_CACHE": str(self.folder / "cache"),
            "REASONRANK_COLLECTIONS": str(tables),
            "REASONRANK_GITHUB_RAW": server.url,
            "IR_DATASETS_HOME": str(self.folder / "irds"),
        }


def small_world(folder: Path, tasks: Iterable[str] = ("biology", "pony"), queries: int = 4) -> World:
    """Tasks of a few queries with 40 candidates each; the gold documents stand at ranks 5 and 30, one is excluded."""
    world = World(folder)
    for task in tasks:
        examples = [
            {"query": f"{task} question {q}", "id": str(q), "gold_ids": [f"{task} {q} 4", f"{task} {q} 29"],
             "excluded_ids": [f"{task} {q} 7"]}
            for q in range(queries)
        ]  # fmt: skip
        run = {str(q): [f"{task} {q} {i}" for i in range(40)] for q in range(queries)}
        world.add(task, examples, run)
    return world


def real_world(folder: Path, shared: Path, tasks: Iterable[str] = REAL) -> World:
    """The reference data's tasks, with its own runs under the authors' paths, and castorini's mended qrels."""
    world = World(folder)
    for task in tasks:
        name = task.replace("-", "_")
        lines = (shared / "bright" / "topics" / f"{name}.original.jsonl").read_text().splitlines()
        run_bytes = (shared / "bright" / "runs" / f"{name}.reasonir_gpt4cot_top100.txt").read_bytes()
        run: dict[str, list[str]] = {}
        for line in run_bytes.decode().splitlines():
            query, _, rest = line.split(" ", 2)
            run.setdefault(query, []).append(rest.rsplit(" ", 3)[0])
        world.add(task, [json.loads(line) for line in lines], run)
        (world.runs / f"{task}.trec").write_bytes(run_bytes)
        world.files[f"8421BCD/ReasonRank/runs/{name}/reasonir_gpt4cot_top100.txt"] = run_bytes
        fixed = (shared / "bright" / "qrels" / f"{name}.fixed.txt").read_bytes()
        world.files[f"castorini/anserini-tools/qrels/qrels.bright-{task}.fixed.txt"] = fixed
    return world


def rader_world(folder: Path, shared: Path) -> World:
    """The one task of which the reference data has RaDeR's scores, under its authors' path; skipped without them."""
    file = shared / "bright" / "rader" / "theoremqa_theorems.hybrid_BM25_Rader.json"
    if not file.is_file():
        pytest.skip("the reference data has no RaDeR scores")
    world = World(folder)
    lines = (shared / "bright" / "topics" / "theoremqa_theorems.original.jsonl").read_text().splitlines()
    scores = file.read_bytes()
    run = {query: list(found) for query, found in json.loads(scores).items()}
    world.add("theoremqa-theorems", [json.loads(line) for line in lines], run)
    world.files[f"Debrup-61/RaDeR/{RADER}/theoremqa_theorems/hybrid_BM25_Rader.json"] = scores
    return world


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet as writer

    buffer = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), buffer)
    return buffer.getvalue()
