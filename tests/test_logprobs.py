"""Stop texts, log-probabilities of the last token and restricted tokens, through engines and journal."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import http_server as srv
import pytest
from openai_kit import IDS, ask, config, no_key, server
from transformers_kit import prompt, use

from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.journal.encoding import checked, decode, encode
from reasonrank_pyserini.engines.journal.recorded import completion_key
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.types import Completion, Prompt, Sampling

__all__ = ["no_key", "server"]  # fixtures
KEY = "0" * 64
FORMER_KEY = "8f3961ca63398dfa56dce89a3229b81677c4cb4cf73e14581b66e43e82ea2a24"
"""What version 0.1.0 computed for engine x, ids 1 and 2, seed 3."""


def transformers(model: Path, sampling: Sampling, number: int = 3) -> Completion:
    async def work(engine: Any) -> Completion:
        found: Completion = await engine.complete(prompt(number, 20), sampling)
        return found

    done: Completion = use(model, work)
    return done


def test_the_last_tokens_logprobs(tiny_model: Path) -> None:
    done = transformers(tiny_model, Sampling(max_tokens=5, logprobs=4))
    assert done.logprobs is not None
    assert len(done.logprobs) == 4
    assert done.finish_reason == "length"
    likeliest = max(done.logprobs, key=lambda id: done.logprobs[id] if done.logprobs else 0.0)
    assert done.token_ids is not None
    assert done.token_ids[-1] == likeliest  # greedy
    assert 0 < sum(map(math.exp, done.logprobs.values())) <= 1
    assert transformers(tiny_model, Sampling(max_tokens=5)).logprobs is None


def test_all_logprobs_sum_to_one(tiny_model: Path) -> None:
    done = transformers(tiny_model, Sampling(max_tokens=1, logprobs=1_000_000))
    assert sum(map(math.exp, (done.logprobs or {}).values())) == pytest.approx(1, abs=1e-9)


def test_only_allowed_ids_are_generated_and_reported(tiny_model: Path) -> None:
    free = transformers(tiny_model, Sampling(max_tokens=1, logprobs=1_000_000)).logprobs or {}
    asked = sorted(free, key=lambda id: free[id])[:2]  # the least likely ones
    done = transformers(tiny_model, Sampling(max_tokens=1, logprobs=1, allowed_ids=tuple(asked)))
    assert done.token_ids == (max(asked, key=lambda id: free[id]),)
    assert {id: (done.logprobs or {})[id] for id in asked} == pytest.approx({id: free[id] for id in asked})


def test_a_stop_text_ends_the_completion_and_is_left_out(tiny_model: Path) -> None:
    whole = transformers(tiny_model, Sampling(max_tokens=40)).text
    stop = whole[len(whole) // 2 :][:2]
    done = transformers(tiny_model, Sampling(max_tokens=40, stop=("never said", stop), logprobs=2))
    assert done.text == whole[: whole.index(stop)]
    assert done.finish_reason == "stop"
    assert done.completion_tokens < 40
    assert done.logprobs is not None


def test_a_server_is_asked_for_them(server: srv.Server) -> None:
    sampling = Sampling(max_tokens=9, stop=("</think> true",), logprobs=20, allowed_ids=(830, 895))
    ask(config(server.url, api="completions"), sampling=sampling)
    body = server.requests[0].body
    assert (body["stop"], body["logprobs"], body["allowed_token_ids"]) == (["</think> true"], 20, [830, 895])
    assert body["return_tokens_as_token_ids"] is True


def test_a_request_without_them_is_as_before(server: srv.Server) -> None:
    ask(config(server.url, api="completions"))
    assert not {"stop", "logprobs", "allowed_token_ids", "return_tokens_as_token_ids"} & set(
        server.requests[0].body
    )


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        ({"top_logprobs": [{"token_id:1": -3.0}, {"token_id:830": -0.5, "token_id:895": -1.5}]},
         {830: -0.5, 895: -1.5}),
        ({"content": [{"token": "token_id:7", "logprob": -1,
                       "top_logprobs": [{"token": "token_id:8", "logprob": -2}]}]},
         {7: -1.0, 8: -2.0}),
        ({"top_logprobs": [{" true": -0.5}]}, None),
        ({"top_logprobs": None}, None),
        ({"top_logprobs": ["x", 3]}, None),
        ([1], None),
    ],
)  # fmt: skip
def test_a_servers_logprobs(server: srv.Server, logprobs: Any, found: dict[int, float] | None) -> None:
    choice = {"index": 0, "text": "so", "logprobs": logprobs, "finish_reason": "stop"}
    server.script(srv.reply({"choices": [choice], "usage": {"prompt_tokens": 4, "completion_tokens": 1}}))
    sampling = Sampling(max_tokens=9, logprobs=20)
    assert ask(config(server.url, api="completions"), IDS, sampling).logprobs == found


def test_the_journal_keeps_them(tmp_path: Path) -> None:
    completion = Completion("so", logprobs={830: -0.5, 895: -math.inf})
    engine = ScriptedEngine(lambda *_: completion)

    async def run() -> tuple[Completion, Completion]:
        async with Recorded(engine, Journal(tmp_path)) as recorded:
            sampling = Sampling(logprobs=20)
            return await recorded.complete(IDS, sampling), await recorded.complete(IDS, sampling)

    first, again = asyncio.run(run())
    assert engine.calls == 1
    assert again == replace(first, cached=True)


def test_a_record_of_a_completion_without_them_is_as_before() -> None:
    record = encode(KEY, Completion("so"))
    assert b"logprobs" not in record
    found = checked(record)
    assert found is not None
    assert decode(found[1]) == Completion("so")


def test_keys_from_before_stay_valid() -> None:
    prompt, plain = Prompt((1, 2)), Sampling(seed=3)
    assert completion_key({"engine": "x"}, prompt, plain) == FORMER_KEY
    others = {
        completion_key({"engine": "x"}, prompt, replace(plain, **change))
        for change in ({"stop": ("a",)}, {"logprobs": 20}, {"allowed_ids": (1,)}, {})
    }
    assert len(others) == 4
