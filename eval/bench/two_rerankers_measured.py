"""ReasonRank's and Rank1's requests through one real engine, with a small random-weight model, in alternating rounds.

Prompts, strategies, scheduler and engine are the real ones, and both rerankers ask the same model about the same
queries. A random-weight model does not reason, so `FixedLengths` sets how long every answer is, and puts a readable
answer in the place of its text: no answer has to be asked for again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Self

from request_tokens import RANK1, REASONRANK

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.engines.wrapper import EngineWrapper
from reasonrank_pyserini.files.requests import Request, read_requests
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.prompts.prompt_thread import PromptThread
from reasonrank_pyserini.ranking.judge import Judge
from reasonrank_pyserini.ranking.judge_making import JudgeMaker
from reasonrank_pyserini.ranking.model_request import ModelRequest, SettingOverrides
from reasonrank_pyserini.ranking.plan import Plan
from reasonrank_pyserini.strategies import RankingStrategy
from reasonrank_pyserini.types import Candidate, Completion, Document, Prompt, Query, Sampling

CONTEXT, ROOM = 8192, 2048
"""Tokens that the small model takes, and those that prompts leave for an answer."""
ORDER = "<think>so</think> <answer>" + " > ".join(f"[{number}]" for number in range(1, 21)) + "</answer>"
ENGINE_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "transformers": {"batch_size": 128, "dtype": "float32"},
    "vllm": {"max_num_seqs": 128, "kv_cache_memory_bytes": 1 << 30},
}


class FixedLengths(EngineWrapper):
    """Answers of the lengths of `request_tokens.py`, times the engine argument `scale`; the rest goes to `inner`."""

    def __init__(self, engine: Engine, tokenizer: Any, scale: float) -> None:
        super().__init__(engine)
        ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in (" true", " false")]
        self.scale, self.true_false = scale, dict(zip(ids, (-0.1, -2.4), strict=True))

    @classmethod
    def from_config(cls, config: EngineConfig) -> Self:
        inner, scale = config.args["inner"], config.args["scale"]
        config = replace(config, args={**ENGINE_ARGUMENTS[inner], "max_model_len": CONTEXT})
        return cls(load_engine(inner, config), load_tokenizer(config.model), scale)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if sampling.allowed_ids:
            return await self.engine.complete(prompt, sampling)
        pointwise = sampling.logprobs is not None
        tokens = RANK1 if pointwise else REASONRANK
        new = tokens.new(1 if pointwise else 20, random.Random(sampling.seed))
        length = max(1, round(new * self.scale))
        done = await self.engine.complete(
            prompt, replace(sampling, max_tokens=length, reasoning_tokens=None, permutation=None, stop=())
        )
        if done.completion_tokens != length:
            raise RuntimeError(f"the model ended after {done.completion_tokens} of {length} tokens")
        logprobs = self.true_false if pointwise else None
        return replace(done, text="so" if pointwise else ORDER, finish_reason="stop", logprobs=logprobs)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two rerankers: how it judges and which windows it asks for."""

    judge: Judge
    strategy: RankingStrategy


@dataclass(frozen=True, slots=True)
class Round:
    """What some queries took: seconds by the clock, calls, tokens in and out."""

    seconds: float
    calls: int
    prompt_tokens: int
    new_tokens: int


def plan_of(profile: str, model: Path, engine: str, scale: float, depth: int) -> Plan:
    own = SettingOverrides(reasoning_tokens=ROOM - 100, answer_tokens=100, depth=depth)
    arguments = {"inner": engine, "scale": scale, "max_model_len": CONTEXT}
    return Plan.make(
        ModelRequest(
            model=str(model), profile=profile, engine=f"{__name__}:FixedLengths", engine_args=arguments, settings=own
        )
    )  # fmt: skip


class Rerankers:
    """Both rerankers on one engine."""

    def __init__(self, model: Path, engine: str, scale: float, depth: int) -> None:
        plans = {
            "ReasonRank": plan_of("reasonrank-7b", model, engine, scale, depth),
            "Rank1": plan_of("rank1", model, engine, scale, depth),
        }
        self.reranker = Reranker.from_parts(plans["ReasonRank"].parts())
        assert self.reranker.engine is not None
        self._threads = {name: PromptThread() for name in plans}
        self.sides = {
            name: Side(
                JudgeMaker(plan.settings, self.reranker.engine, self._threads[name]).judge(
                    plan.builder(plan.tokenizer())
                ),
                plan.settings.ranking_strategy,
            )
            for name, plan in plans.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reranker.close()
        for thread in self._threads.values():
            thread.close()

    def round(self, name: str, requests: Sequence[Request]) -> Round:
        """Those queries asked at once."""
        side, reranker = self.sides[name], self.reranker
        reranker.judge, reranker.strategy = side.judge, side.strategy
        begin = time.perf_counter()
        found = list(reranker.rerank_many([(request.query, request.candidates) for request in requests]))
        seconds = time.perf_counter() - begin
        done = [step.verdict.completion for ranking in found for step in ranking.steps]
        return Round(
            seconds,
            len(done),
            sum(one.prompt_tokens for one in done if one),
            sum(one.completion_tokens for one in done if one),
        )


def rounds(
    rerankers: Rerankers,
    given: Sequence[Request],
    loads: Sequence[int],
    count: int,
    say: Callable[[str], object] = lambda line: None,
) -> dict[int, dict[str, list[Round]]]:
    """By the number of queries asked at once, rounds in which both rerankers get the same ones; they take turns in
    being first."""
    found: dict[int, dict[str, list[Round]]] = {
        load: {name: [] for name in rerankers.sides} for load in loads
    }
    queries = cycle(given)
    for name in rerankers.sides:
        rerankers.round(name, given[:1])  # whatever is done once
    for number in range(count):
        for load in loads:
            asked = [numbered(request, f"{number} {at}") for at, request in enumerate(islice(queries, load))]
            for name in sorted(rerankers.sides, reverse=number % 2 == 1):
                found[load][name].append(done := rerankers.round(name, asked))
                say(f"round {number + 1} of {count}, {load} at once, {name}: {done.seconds:.1f} s")
    return found


def numbered(request: Request, prefix: str) -> Request:
    """The request under another id, so that a repeated query has other answers."""
    return replace(request, query=replace(request.query, id=f"{prefix} {request.query.id}"))


def requests_of_file(path: Path) -> list[Request]:
    return list(read_requests(path))


def made_up(count: int, depth: int) -> list[Request]:
    """Requests without a file: queries and passages of a few words."""
    words = (
        "moths",
        "lamps",
        "because",
        "the",
        "brightest",
        "part",
        "of",
        "sky",
        "above",
        "them",
        "at",
        "night",
    )
    chance = random.Random(0)
    return [
        Request(
            Query(f"q{number}", f"why do moths circle lamp {number}"),
            tuple(
                Candidate(
                    Document(f"d{number}-{at}", " ".join(chance.choices(words, k=60))), -float(at), at + 1
                )
                for at in range(depth)
            ),
        )
        for number in range(count)
    ]
