"""Answers that can only be permutations: what they cost a vLLM server, and that they change no clean one.

    python eval/bench/constrained.py [--rounds 6] [--windows 96] [--json FILE]

One server of the vllm engine with the shipped nano is asked about the same windows in turns, with free answers and
with enforced ones, after a pass of each that does not count (so every prompt is in the prefix cache). Tokens a
second enforced over free, with a 95% interval over rounds: by processor time of the server's processes, which a busy
machine changes little, and by the clock. And of the windows whose free answer is CLEAN without a second request, how
many have the same order when it is enforced. A larger model spends the same time on enforcing and more on the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratios import ratio, write_figures
from server_processes import cpu_seconds, of_servers, parts

from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.ranking.model_request import ModelRequest
from reasonrank_pyserini.ranking.plan import Plan
from reasonrank_pyserini.types import ParseStatus, Verdict

REQUESTS = 32
SMALL = {"kv_cache_memory_bytes": 1 << 28, "max_num_seqs": REQUESTS}
FREE, ENFORCED = "free", "enforced"
Window = tuple[Query, list[Document]]


def nano_windows(count: int) -> Iterator[Window]:
    """Ten passages of a topic's setting in a fixed random order."""
    world = World.load()
    texts = {document.id: document for document in world.documents}
    for topic in world.topics("test")[:count]:
        near = sorted(ids[0] for (_, place), ids in world.named.items() if place == topic.setting)
        right = world.named[topic.concept, topic.setting][0]
        chosen = [right, *random.Random(topic.id).sample([id for id in near if id != right], 9)]
        random.Random(topic.id).shuffle(chosen)
        yield Query(topic.id, topic.text), [texts[id] for id in chosen]


def tokens_of(verdicts: list[Verdict]) -> int:
    return sum(one.completion.completion_tokens for one in verdicts if one.completion is not None)


class Pass:
    """All windows judged once: verdicts, and tokens a second of processor time and of the clock."""

    def __init__(self, verdicts: list[Verdict], processor: float, clock: float) -> None:
        self.verdicts = verdicts
        self.by_processor, self.by_clock = (tokens_of(verdicts) / spent for spent in (processor, clock))


async def judged(judge: LLMJudge, windows: list[Window]) -> Pass:
    started, before = time.perf_counter(), of_servers(cpu_seconds(parts()))
    verdicts = await asyncio.gather(*(judge.judge(query, documents) for query, documents in windows))
    clock = time.perf_counter() - started
    return Pass(verdicts, of_servers(cpu_seconds(parts())) - before, clock)


async def passes(rounds: int, windows: list[Window]) -> dict[str, list[Pass]]:
    plan = Plan.make(ModelRequest(model="nano", engine="vllm", profile="nano", engine_args=SMALL))
    builder, sampling = plan.builder(plan.tokenizer()), plan.settings.sampling
    found: dict[str, list[Pass]] = {FREE: [], ENFORCED: []}
    async with ThrottledEngine(load_engine("vllm", plan.config)) as engine:
        judges = {name: LLMJudge(builder, engine, sampling, constrained=name == ENFORCED) for name in found}
        for judge in judges.values():
            await judged(judge, windows)
        for number in range(rounds):
            for name in sorted(judges, reverse=number % 2 == 1):
                found[name].append(await judged(judges[name], windows))
    for judge in judges.values():
        judge.close()
    return found


def report(found: dict[str, list[Pass]]) -> dict[str, Any]:
    free, held = (found[name][0].verdicts for name in (FREE, ENFORCED))
    clean = [
        number
        for number, one in enumerate(free)
        if one.status is ParseStatus.CLEAN and not one.notes.get("forced")
    ]
    speeds = {
        kind: ratio(*([getattr(one, kind) for one in found[name]] for name in (ENFORCED, FREE)))
        for kind in ("by_processor", "by_clock")
    }
    return {
        "windows": len(free),
        "tokens_a_window": {name: tokens_of(each[0].verdicts) / len(free) for name, each in found.items()},
        "statuses": {
            name: dict(Counter(one.status.value for one in each[0].verdicts)) for name, each in found.items()
        },
        "clean_by_themselves": len(clean),
        "orders_that_enforcing_changed": sum(free[i].order != held[i].order for i in clean),
        **{f"tokens_a_second_enforced_over_free_{kind}": value for kind, value in speeds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--windows", type=int, default=96)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = report(asyncio.run(passes(given.rounds, list(nano_windows(given.windows)))))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<50} {value}")
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
