"""The openai engine against a real vLLM server whose model says the same thing after every prompt."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from vllm_server import VLLMServer

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.errors import EngineDiedError, EngineError, ServersGoneError
from reasonrank_pyserini.types import Completion, Permutation, Prompt, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SAID = 8
"""Tokens of `<think>so</think>[2]`, with the one that ends the turn."""
MESSAGES = ({"role": "system", "content": "rank"}, {"role": "user", "content": "[1] a\n[2] b"})
SAMPLING = Sampling(max_tokens=20)
CONTEXT = 4096


@pytest.fixture(scope="module")
def server(chain_server: Future[VLLMServer] | None) -> VLLMServer:
    if chain_server is None:
        pytest.skip("vLLM is not installed")
    return chain_server.result()


@pytest.fixture(scope="module")
def prompt(chain: Path) -> Prompt:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(chain)
    text = tokenizer.apply_chat_template(list(MESSAGES), tokenize=False, add_generation_prompt=True)
    return Prompt(tuple(tokenizer(text)["input_ids"]), text, MESSAGES)


def config(server: VLLMServer, api: str = "completions", **args: Any) -> EngineConfig:
    mode = "chat" if api == "chat" else "completions"
    return EngineConfig(server.model, base_urls=(server.url,), api=mode, args=args)  # type: ignore[arg-type]


def ask(
    setup: EngineConfig, prompt: Prompt, sampling: Sampling = SAMPLING, times: int = 1
) -> list[Completion]:
    async def run() -> list[Completion]:
        async with load_engine("openai", setup) as engine:
            return await asyncio.gather(*(engine.complete(prompt, sampling) for _ in range(times)))

    return asyncio.run(asyncio.wait_for(run(), 600))


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_both_modes_give_the_text_with_its_reasoning(server: VLLMServer, prompt: Prompt, api: str) -> None:
    for done in ask(config(server, api), prompt, times=20):
        assert done.text == "<think>so</think>[2]"
        assert (done.finish_reason, done.completion_tokens) == ("stop", SAID)
        assert done.prompt_tokens == len(prompt.token_ids or ())


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_unfinished_reasoning_stays_unclosed(server: VLLMServer, prompt: Prompt, api: str) -> None:
    (done,) = ask(config(server, api), prompt, Sampling(max_tokens=2))
    assert (done.text, done.finish_reason, done.completion_tokens) == ("<think>s", "length", 2)


def test_sampling_by_seed_is_repeatable(server: VLLMServer, prompt: Prompt) -> None:
    warm = Sampling(temperature=2.0, top_p=1.0, top_k=0, min_p=0.0, seed=5, max_tokens=40)
    texts = {done.text for _ in range(2) for done in ask(config(server), prompt, warm, times=5)}
    assert len(texts) == 1
    other = Sampling(temperature=2.0, top_p=1.0, top_k=0, min_p=0.0, seed=6, max_tokens=40)
    assert ask(config(server), prompt, other)[0].text not in texts


def test_the_form_of_an_answer_is_enforced(server: VLLMServer, prompt: Prompt) -> None:
    """Its form alone, and after the reasoning: this server has a reasoning parser and leaves reasoning free."""
    (done,) = ask(config(server), prompt, Sampling(max_tokens=60, permutation=Permutation(12, 3)))
    assert re.fullmatch(r"<think>so</think> ?\[\d+\]( > \[\d+\]){2} ?</answer>", done.text)


def test_a_prompt_or_an_answer_too_long_is_an_error(server: VLLMServer, prompt: Prompt) -> None:
    ids = prompt.token_ids or ()
    full = (ids * CONTEXT)[-CONTEXT - 1 :]
    for long, budget in ((full, 20), (full[5:], 20)):
        with pytest.raises(EngineError, match="context"):
            ask(config(server), Prompt(tuple(long)), Sampling(max_tokens=budget))


def test_a_wrong_model_name_is_reported_with_the_right_one(server: VLLMServer, prompt: Prompt) -> None:
    setup = EngineConfig("tinny", base_urls=(server.url,))
    with pytest.raises(EngineDiedError, match="did you mean 'tiny'"):
        ask(setup, prompt)


def test_the_server_is_described(server: VLLMServer, chain: Path) -> None:
    async def run() -> Any:
        async with load_engine("openai", config(server)) as engine:
            return await engine.describe()  # type: ignore[attr-defined]

    (known,) = asyncio.run(run())["servers"]
    assert known["model"]["root"] == str(chain)
    assert known["model"]["max_model_len"] == CONTEXT
    assert known["version"]


def test_a_killed_server_is_reported_and_nothing_hangs(
    server: VLLMServer, chain: Path, prompt: Prompt
) -> None:
    """Last, because the server does not come back.

    It answers two of the 64 at a time and each at length, so most wait when it is killed, however late that is.
    """
    from transformers import PreTrainedTokenizerFast

    x = PreTrainedTokenizerFast.from_pretrained(chain).convert_tokens_to_ids("x")
    long, endless = Prompt((*(prompt.token_ids or ()), x)), Sampling(max_tokens=CONTEXT // 2)

    async def run() -> list[Completion | BaseException]:
        async with load_engine("openai", config(server, attempts=3, backoff=0.1)) as engine:
            await engine.complete(prompt, SAMPLING)
            calls = [asyncio.create_task(engine.complete(long, endless)) for _ in range(64)]
            await asyncio.sleep(0.3)  # at whatever moment: those that are not there yet fail as well
            server.kill()
            return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(asyncio.wait_for(run(), 600))
    errors = [one for one in found if not isinstance(one, Completion)]
    assert len(errors) >= 32
    assert {type(error) for error in errors} <= {ServersGoneError, EngineError}
    assert all(server.url in str(error) for error in errors)
