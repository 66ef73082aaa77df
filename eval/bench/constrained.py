"""Answers that can only be permutations: what they cost vLLM in this process, and that they change no clean one.

    python eval/bench/constrained.py [--rounds 8] [--windows 96] [--json FILE]

Three tables. Tokens a second of a small random-weight model, in rounds of three runs side by side: free requests,
answers that are enforced (a ratio of 1 to the free ones costs nothing), and free requests on a second engine that
was started without the processor (whose place on the cores alone may make it faster or slower); by the clock
and by processor time, which a busy machine changes less. Microseconds of processor time a token of the automaton
and of masking a row of logits, for a vocabulary as large as Qwen2.5's: they do not depend on the model. And
windows of the shipped nano, free and constrained: statuses, and how many of the orders that were CLEAN by
themselves are unchanged.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from ratios import ratio, write_figures

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.datasets.nano.world import World
from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.engines.vllm import vllm_grammar as processor
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.prompts.grammar import Grammar, Guide, Vocabulary
from reasonrank_pyserini.types import ParseStatus, Permutation, Prompt, Sampling, Verdict

REQUESTS, WORDS, PASSAGES = 32, 8, 20
TOKENS = 128
SMALL = {"kv_cache_memory_bytes": 1 << 28, "max_num_seqs": REQUESTS}
QWEN_TOKENS = 151_936


def processor_seconds() -> float:
    """Of this process and the engines' own, so far."""
    import psutil

    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


async def speed(engine: Engine, tokenizer: Any, asked: Permutation | None) -> tuple[float, float]:
    """New tokens of a batch a second, and a second of processor time; a permutation has to come where it is asked."""
    sampling = Sampling(max_tokens=Grammar(PASSAGES).longest if asked else TOKENS, permutation=asked)
    prompts = [Prompt(tuple(tokenizer.encode(f"Rank the {n} passages. " * WORDS))) for n in range(REQUESTS)]
    started, spent = time.perf_counter(), processor_seconds()
    done = await asyncio.gather(*(engine.complete(prompt, sampling) for prompt in prompts))
    seconds, spent = time.perf_counter() - started, processor_seconds() - spent
    if asked:
        read = {parse(f"<answer>{one.text}", PASSAGES).status for one in done}
        assert read == {ParseStatus.CLEAN}, read
    tokens = sum(one.completion_tokens for one in done)
    return tokens / seconds, tokens / spent


async def speeds(model: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    tokenizer = load_tokenizer(str(model))
    config = EngineConfig(str(model), max_model_len=1024, args=SMALL)
    async with AsyncExitStack() as stack:
        with mock.patch("reasonrank_pyserini.engines.vllm.vllm_engine.install"):
            plain = await stack.enter_async_context(load_engine("vllm", config))
        loaded = await stack.enter_async_context(load_engine("vllm", config))
        ways = {
            "free": (loaded, None),
            "enforced": (loaded, Permutation(PASSAGES, PASSAGES)),
            "without": (plain, None),
        }
        for engine, asked in ways.values():
            await speed(engine, tokenizer, asked)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (engine, asked) in ways.items():
                found[name].append(await speed(engine, tokenizer, asked))
    return found


def micro() -> dict[str, float]:
    """Microseconds a token, over answers of 20 identifiers, one thread; masking on the CPU."""
    import torch

    torch.set_num_threads(1)

    pieces = [*"0123456789[]> \n</answer>", " >", " [", "] >", "]</", "answer", "</"]
    vocabulary = Vocabulary(dict(enumerate(dict.fromkeys(pieces))))
    chance, steps, spent, masked = random.Random(0), 0, 0.0, 0.0
    row = torch.randn(QWEN_TOKENS)
    for _ in range(30):
        guide, written = Guide(vocabulary, Permutation(PASSAGES, PASSAGES), [QWEN_TOKENS - 1]), list[int]()
        while written[-1:] != [QWEN_TOKENS - 1]:
            started = time.thread_time()
            allowed = guide.follow(written[guide.seen :]).allowed() or ()
            spent += time.thread_time() - started
            started = time.thread_time()
            processor.keep_only(row.clone(), allowed)
            masked += time.thread_time() - started
            steps += 1
            written.append(chance.choice(list(allowed)))
    return {"automaton": 1e6 * spent / steps, "mask": 1e6 * masked / steps}


def nano_windows(count: int) -> Iterator[tuple[Query, list[Document]]]:
    """Ten passages of a topic's setting in a fixed random order."""
    world = World.load()
    texts = {document.id: document for document in world.documents}
    for topic in world.topics("test")[:count]:
        near = sorted(ids[0] for (_, place), ids in world.named.items() if place == topic.setting)
        right = world.named[topic.concept, topic.setting][0]
        chosen = [right, *random.Random(topic.id).sample([id for id in near if id != right], 9)]
        random.Random(topic.id).shuffle(chosen)
        yield Query(topic.id, topic.text), [texts[id] for id in chosen]


def nano(count: int, constrained: bool) -> tuple[dict[str, Verdict], float]:
    """A verdict a window, and new tokens a second."""
    model, args = str(SHIPPED["nano"]), {**SMALL, "max_num_seqs": 32}
    found = {}
    with Reranker.from_pretrained(
        model, engine="vllm", profile="nano", engine_args=args, constrained=constrained
    ) as reranker:
        list(reranker.rerank_many(nano_windows(2)))
        started = time.perf_counter()
        for ranking in reranker.rerank_many(nano_windows(count)):
            (step,) = ranking.steps
            found[ranking.query.id] = step.verdict
        seconds = time.perf_counter() - started
    return found, sum(one.completion.completion_tokens for one in found.values() if one.completion) / seconds


def nano_figures(count: int) -> dict[str, Any]:
    (free, free_speed), (held, held_speed) = nano(count, False), nano(count, True)
    clean = [
        id for id, one in free.items() if one.status is ParseStatus.CLEAN and not one.notes.get("forced")
    ]
    return {
        "windows": len(free),
        "free": dict(Counter(one.status.value for one in free.values())),
        "constrained": dict(Counter(one.status.value for one in held.values())),
        "forced_free": sum(one.notes.get("forced", 0) for one in free.values()),
        "forced_constrained": sum(one.notes.get("forced", 0) for one in held.values()),
        "clean_by_themselves": len(clean),
        "same_order": sum(free[id].order == held[id].order for id in clean),
        "free_tokens_per_second": free_speed,
        "constrained_tokens_per_second": held_speed,
    }


def main(count: int, windows: int, output: Path | None) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    import tiny

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(speeds(tiny.build_model(Path(folder)), count))
    figures: dict[str, Any] = {}
    print(f"{'processor':<10} {'tokens/s':>9}  ratio (95% interval)  by processor time")
    for name, values in found.items():
        row: dict[str, Any] = {"tokens_per_second": statistics.median(speed for speed, _ in values)}
        for place, kind in enumerate(("clock", "processor")):
            row[kind] = ratio(*([one[place] for one in rounds] for rounds in (values, found["free"])))
        figures[name] = row
        print(f"{name:<10} {row['tokens_per_second']:>9.0f}  {row['clock']}  {row['processor']}", flush=True)
    figures["microseconds"] = micro()
    print(
        "microseconds a token: "
        + ", ".join(f"{name} {value:.0f}" for name, value in figures["microseconds"].items())
    )
    figures["nano"] = nano_figures(windows)
    for name, value in figures["nano"].items():
        print(f"nano {name:<30} {value}")
    write_figures(output, figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--windows", type=int, default=96)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    main(asked.rounds, asked.windows, asked.json)
