"""The vllm engine with a real vLLM server and random weights: completions, permutations, keys, a killed server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vllm_kit import NEEDS_VLLM, Loop, descendants, gone, idle, loop, model, named, prompt, together

from reasonrank_pyserini.engines import Engine, EngineConfig, engine_details, load_engine
from reasonrank_pyserini.engines.priority import ENGINE_PRIORITY, context_value
from reasonrank_pyserini.errors import EngineDiedError, EngineError, PromptTooLongError
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.permutation import parse
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.types import (
    Completion,
    Document,
    ParseStatus,
    Permutation,
    Prompt,
    Query,
    Sampling,
    Verdict,
)

__all__ = ["loop", "model"]  # fixtures

pytestmark = NEEDS_VLLM
CONTEXT = 1024
SLOTS = 16
SMALL = {"kv_cache_memory_bytes": 1 << 27, "max_num_seqs": SLOTS}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def engine(model: Path, loop: Loop, logs: Path) -> Iterator[Engine]:
    config = EngineConfig(str(model), max_model_len=CONTEXT, log_folder=logs, args=SMALL)
    made = load_engine("vllm", config)
    loop.run(made.__aenter__())
    pids = descendants()
    yield made
    loop.run(made.__aexit__(None, None, None))
    assert gone([*pids, *descendants()])


class TestCompletions:
    def test_limits_keep_the_engine_full(self, engine: Engine) -> None:
        assert engine.limits.requests == SLOTS + 4
        assert engine.limits.tokens is None

    def test_identity_is_json_and_follows_the_weights(
        self, engine: Engine, model: Path, tmp_path: Path
    ) -> None:
        identity = dict(engine.identity)
        assert json.loads(json.dumps(identity)) == identity
        assert (identity["engine"], identity["lora"], identity["args"]) == ("vllm", None, {})
        other = tmp_path / "other"
        shutil.copytree(model, other)
        weights = bytearray((other / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (other / "model.safetensors").write_bytes(weights)
        changed = load_engine("vllm", EngineConfig(str(other), max_model_len=CONTEXT, args=SMALL)).identity
        assert {**changed, "model": ""} != {**identity, "model": ""}

    def test_greedy_answers_do_not_depend_on_the_company(self, engine: Engine, loop: Loop) -> None:
        requests = [(prompt(n, 40 + 9 * n), Sampling(max_tokens=24, seed=n)) for n in range(16)]
        alone = loop.run(together(engine, requests, 1))
        crowd = loop.run(together(engine, requests, 16))
        assert [answer.text for answer in alone] == [answer.text for answer in crowd]
        assert len({answer.text for answer in alone}) > 1

    def test_a_seed_gives_the_same_sample_again(self, engine: Engine, loop: Loop) -> None:
        def requests(seeds: list[int]) -> list[tuple[Prompt, Sampling]]:
            return [
                (prompt(1), Sampling(temperature=1.0, top_p=0.95, top_k=50, seed=s, max_tokens=24))
                for s in seeds
            ]

        seeds = [1, 2, 3, 2**31 - 1]
        first = [answer.text for answer in loop.run(together(engine, requests(seeds), 4))]
        again = [answer.text for answer in loop.run(together(engine, requests(seeds[::-1]), 1))]
        assert first == again[::-1]
        assert len(set(first)) > 1

    def test_counts_and_reasons(self, engine: Engine, loop: Loop) -> None:
        answer = loop.run(engine.complete(prompt(2, 77), Sampling(max_tokens=9)))
        assert (answer.prompt_tokens, answer.completion_tokens, answer.finish_reason) == (77, 9, "length")
        assert answer.seconds > 0
        assert (answer.cached, answer.forced) == (False, False)

    def test_nothing_is_cut_silently(self, engine: Engine, loop: Loop) -> None:
        full = loop.run(engine.complete(prompt(3, CONTEXT - 8), Sampling(max_tokens=8)))
        assert full.completion_tokens == 8
        with pytest.raises(PromptTooLongError, match=f"{CONTEXT - 8} tokens and 9 .* context of {CONTEXT}"):
            loop.run(engine.complete(prompt(3, CONTEXT - 8), Sampling(max_tokens=9)))

    def test_tags_stay_and_control_tokens_leave(self, engine: Engine, loop: Loop) -> None:
        # Random weights at temperature 2 draw nearly evenly from a vocabulary of a few hundred tokens.
        wild = [(prompt(4), Sampling(temperature=2.0, seed=seed, max_tokens=800)) for seed in range(12)]
        answers = loop.run(together(engine, wild, 12))
        text = "".join(answer.text for answer in answers)
        assert "</think>" in text
        assert "<|tool|>" not in text
        assert "<|im_end|>" not in text
        stopped = [answer for answer in answers if answer.finish_reason == "stop"]
        assert stopped
        assert all(answer.completion_tokens < 800 for answer in stopped)

    @pytest.mark.parametrize("bad", [Prompt(text="words"), Prompt(token_ids=())])
    def test_a_prompt_without_ids_is_refused(self, engine: Engine, loop: Loop, bad: Prompt) -> None:
        with pytest.raises(EngineError, match="token ids"):
            loop.run(engine.complete(bad, Sampling(max_tokens=4)))

    def test_a_bad_request_fails_alone(self, engine: Engine, loop: Loop) -> None:
        with pytest.raises(EngineError, match="vocabulary") as caught:
            loop.run(engine.complete(Prompt(token_ids=(10**6,)), Sampling(max_tokens=4)))
        assert not isinstance(caught.value, EngineDiedError)
        with pytest.raises(EngineError, match="top_p"):
            loop.run(engine.complete(prompt(5), Sampling(temperature=1.0, top_p=7.0, max_tokens=4)))
        assert loop.run(engine.complete(prompt(5), Sampling(max_tokens=4))).completion_tokens == 4

    def test_who_waits_is_served_in_the_gates_order(self, engine: Engine, loop: Loop) -> None:
        """The engine stands still until all have been asked: it then has as many calls as slots, which end one after
        another, and three that wait; the later call has the lower place."""
        pids = descendants()
        core, server = named(pids, "EngineCore"), named(pids, "api_server")

        async def ended() -> list[int]:
            order: list[int] = []

            async def one(place: int, tokens: int) -> None:
                await engine.complete(prompt(place), Sampling(max_tokens=tokens))
                order.append(place)

            os.kill(core, signal.SIGSTOP)
            try:
                before = counted(engine, "requests")
                fillers = (
                    engine.complete(prompt(n), Sampling(max_tokens=200 + 40 * n)) for n in range(SLOTS)
                )
                tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in fillers]
                for place, tokens in ((7, 20), (3, 1), (5, 10)):
                    with context_value(ENGINE_PRIORITY, place):
                        tasks.append(asyncio.ensure_future(one(place, tokens)))
                while counted(engine, "requests") < before + len(tasks):
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(idle, server)
            finally:
                os.kill(core, signal.SIGCONT)
            await asyncio.gather(*tasks)
            return order

        assert loop.run(ended()) == [3, 5, 7]

    def test_cancelling_frees_the_slots(self, engine: Engine, loop: Loop) -> None:
        """Four times as many long calls as there are slots: uncancelled, they would hold them for four rounds, each as
        long as a call that is alone, and longer."""
        long = Sampling(max_tokens=900)

        async def fill_cancel_and_ask() -> tuple[float, float]:
            whole = (await engine.complete(prompt(6), long)).seconds
            tasks = [asyncio.create_task(engine.complete(prompt(n), long)) for n in range(4 * SLOTS)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert sum(isinstance(end, asyncio.CancelledError) for end in ended) >= 3 * SLOTS
            return whole, (await engine.complete(prompt(99), Sampling(max_tokens=4))).seconds

        whole, short = loop.run(fill_cancel_and_ask())
        assert short < 2 * whole


class TestPermutations:
    """Random weights, drawn hot: without enforcement there would be no answer at all."""

    def test_every_window_is_clean(self, engine: Engine, model: Path, loop: Loop) -> None:
        """A budget spent on noise, then the answer alone: the window's order is what the model wrote there."""
        sampling = Sampling(temperature=2.0, top_p=0.99, max_tokens=30, reasoning_tokens=10)
        judge = LLMJudge(
            PromptBuilder("reasonrank", load_tokenizer(str(model)), context=CONTEXT), engine, sampling
        )
        documents = [Document(f"d{n}", "a b") for n in range(12)]

        async def ask() -> list[Verdict]:
            return await asyncio.gather(
                *(judge.judge(Query(f"q{n}", "which?"), documents) for n in range(24))
            )

        verdicts = loop.run(ask())
        assert {verdict.status for verdict in verdicts} == {ParseStatus.CLEAN}
        assert all(verdict.notes["forced"] == 1 for verdict in verdicts)
        assert len({verdict.order for verdict in verdicts}) > 12

    def test_only_those_who_ask_are_held_to_it(self, engine: Engine, model: Path, loop: Loop) -> None:
        """Side by side: free requests are what they are alone, the others name five of twelve, once each."""
        start = Prompt(tuple(load_tokenizer(str(model)).encode("the best five: ")))
        free = [(start, Sampling(temperature=2.0, top_p=0.99, seed=n, max_tokens=60)) for n in range(8)]
        held = [(start, replace(sampling, permutation=Permutation(12, 5))) for _, sampling in free]
        alone = loop.run(together(engine, free, 1))
        mixed = loop.run(together(engine, [*free, *held], 16))
        assert [answer.token_ids for answer in mixed[:8]] == [answer.token_ids for answer in alone]
        for answer in mixed[8:]:
            assert parse(f"<answer>{answer.text}", 12, count=5).status is ParseStatus.CLEAN
            assert answer.text.count("[") == 5
            assert answer.finish_reason == "stop"
            assert load_tokenizer(str(model)).decode(list(answer.token_ids or ())) == answer.text


class TestKey:
    def test_another_user_of_the_machine_cannot_use_the_server(self, engine: Engine) -> None:
        for headers in ({}, {"Authorization": "Bearer none"}):
            request = urllib.request.Request(f"{address(engine)}/models", headers=headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=200)
            assert refused.value.code == 401

    def test_the_key_is_in_no_log_and_no_command_line(self, engine: Engine, logs: Path) -> None:
        import psutil

        pids = descendants()
        keys = {psutil.Process(pid).environ().get("VLLM_API_KEY", "") for pid in pids}
        (key,) = keys - {""}
        assert len(key) >= 32
        assert not any(key in " ".join(psutil.Process(pid).cmdline()) for pid in (*pids, os.getpid()))
        assert [path.name for path in logs.iterdir()] == ["vllm-1.log"]
        assert key not in (logs / "vllm-1.log").read_text(errors="replace")
        assert key not in json.dumps([dict(engine.identity), engine_details(engine)])
        assert "VLLM_API_KEY" not in os.environ


# Defined after everything that needs the shared engine to be the first one.
@pytest.mark.slow
class TestDeath:
    def test_a_killed_server_is_started_again_and_no_call_is_lost(self, engine: Engine, loop: Loop) -> None:
        """Half of the calls start while the engine works, half while it stands still: those cannot be answered."""
        pids, before, answered = descendants(), counted(engine, "requests"), counted(engine, "answers")

        async def kill_under_load() -> list[Completion]:
            core, hot = named(pids, "EngineCore"), Sampling(temperature=2.0, max_tokens=900)
            calls = (engine.complete(prompt(n), replace(hot, seed=n)) for n in range(SLOTS + 4))
            tasks = [asyncio.create_task(next(calls)) for _ in range(12)]
            await engine.complete(prompt(7), Sampling(max_tokens=1))  # the twelve came before it
            os.kill(core, signal.SIGSTOP)
            tasks += [asyncio.create_task(call) for call in calls]
            while counted(engine, "requests") < before + 1 + SLOTS + 4:
                await asyncio.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)  # the one that leads the server's processes
            return await asyncio.wait_for(asyncio.gather(*tasks), 780)

        assert len(loop.run(kill_under_load())) == SLOTS + 4
        assert gone(pids)
        details = engine_details(engine)
        assert details["restarts"] == 1
        first, second = details["servers"]
        assert first["url"] != second["url"]
        repeated = sum(count for kind, count in first["failures"].items() if kind != "HTTP 400")
        assert 0 < second["answers"] <= repeated  # a call can meet the closed port before its death is known
        assert counted(engine, "answers") == answered + 1 + SLOTS + 4  # none is answered twice

    def test_a_closed_engine_says_so(self, model: Path, loop: Loop) -> None:
        engine = load_engine("vllm", EngineConfig(str(model), max_model_len=CONTEXT, args=SMALL))
        with pytest.raises(EngineError, match="not running"):
            loop.run(engine.complete(prompt(8), Sampling(max_tokens=2)))

    def test_a_failed_start_quotes_the_cause(self, model: Path, loop: Loop) -> None:
        before = set(descendants())
        config = EngineConfig(str(model), max_model_len=CONTEXT, args={"kv_cache_memory_bytes": 1 << 17})
        with pytest.raises(EngineError, match=r"KV cache.*kv_cache_memory_bytes=BYTES") as caught:
            loop.run(load_engine("vllm", config).__aenter__())
        assert "\n" not in str(caught.value)
        assert gone([pid for pid in descendants() if pid not in before])


def counted(engine: Engine, what: str) -> int:
    """`requests` sent to the engine's servers so far, or `answers` of theirs."""
    return sum(server[what] for server in engine_details(engine)["servers"])


def address(engine: Engine) -> str:
    """The base URL of the engine's first server."""
    url: str = engine_details(engine)["servers"][0]["url"]
    return url
