"""The openai engine against a real HTTP server on loopback: what is sent and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import http_server as srv
import pytest
from openai_kit import CHAT, SAMPLING, ask, config, no_key, server

from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.errors import EngineError
from reasonrank_pyserini.types import Prompt, Sampling

__all__ = ["no_key", "server"]  # fixtures

# What is sent


def test_completions_sends_ids_and_every_sampling_field(server: srv.Server) -> None:
    done = ask(config(server.url, api="completions"))
    (request,) = server.requests
    sent = {name: value for name, value in request.body.items() if name not in ("stream_options", "stream")}
    assert request.path == "/v1/completions"
    assert sent == {
        "model": "tiny", "prompt": [5, 6, 7, 8], "temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0.1,
        "seed": 11, "max_tokens": 50, "repetition_penalty": 1.0, "skip_special_tokens": True,
        "add_special_tokens": False, "stream_interval": 32,
    }  # fmt: skip
    assert done.text == srv.reversed_ranking("")
    assert (done.prompt_tokens, done.completion_tokens, done.finish_reason) == (
        4,
        len(done.text.split()),
        "stop",
    )
    assert done.seconds > 0


def test_chat_sends_messages(server: srv.Server) -> None:
    done = ask(config(server.url))
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body["messages"] == list(CHAT.messages)
    assert "prompt" not in request.body
    assert done.text == "<think> the later the better </think> <answer> [2] > [1] </answer>"


def test_fields_that_are_off_are_said_to_be_off(server: srv.Server) -> None:
    ask(config(server.url), sampling=Sampling(temperature=0.0, max_tokens=9))
    body = server.requests[0].body
    assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) == (0.0, 1.0, -1, 0.0)
    assert "seed" not in body


def test_an_answer_begun_is_continued(server: srv.Server) -> None:
    begun = Prompt(messages=(*CHAT.messages, {"role": "assistant", "content": "<think> so"}))
    ask(config(server.url), begun)
    assert server.requests[0].body["continue_final_message"] is True
    assert server.requests[0].body["add_generation_prompt"] is False


def test_fields_can_be_left_out_and_added(server: srv.Server) -> None:
    setup = config(
        server.url,
        send_extra=False,
        omit="seed,top_p",
        max_tokens_field="max_completion_tokens",
        extra_body={"chat_template_kwargs": {"enable_thinking": False}},
        **{"extra_body.priority": 3},  # type: ignore[arg-type]
    )
    ask(setup)
    assert set(server.requests[0].body) == {
        "model", "messages", "stream", "stream_options", "temperature", "max_completion_tokens",
        "chat_template_kwargs", "priority",
    }  # fmt: skip
    identity = load_engine("openai", setup).identity
    assert identity["extra_body"] == {"chat_template_kwargs": {"enable_thinking": False}, "priority": 3}
    assert (identity["omit"], identity["send_extra"]) == (["seed", "top_p"], False)


def test_identity_names_the_model_and_not_the_address() -> None:
    first = load_engine("openai", config("http://localhost:1/v1"))
    second = load_engine("openai", config("http://localhost:2/v1", concurrency=3, inactivity_timeout=5))
    assert first.identity == second.identity
    assert (
        first.identity != load_engine("openai", config("http://localhost:1/v1", api="completions")).identity
    )
    assert first.identity["model"] == "tiny"


# Reasoning


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("reasoning", "content", "finish", "text"),
    [
        (
            "so [2]",
            "\n<answer>[2] > [1]</answer>",
            "stop",
            "<think>so [2]</think>\n<answer>[2] > [1]</answer>",
        ),
        ("so [2]", "", "length", "<think>so [2]"),
        ("so, <answer>[2] > [1]</answer>", "", "stop", "<think>so, </think><answer>[2] > [1]</answer>"),
        ("so", "<think>so</think><answer>[1]</answer>", "stop", "<think>so</think><answer>[1]</answer>"),
        ("<think>so</think>", "<answer>[1]</answer>", "stop", "<think>so</think><answer>[1]</answer>"),
        ("so", "</think><answer>[1]</answer>", "stop", "<think>so</think><answer>[1]</answer>"),
    ],
)
def test_reasoning_is_joined_back(
    server: srv.Server, name: str, stream: bool, reasoning: str, content: str, finish: str, text: str
) -> None:
    server.always = srv.answer(
        content, reasoning=reasoning, name=name, finish=finish, stream=stream, completion_tokens=50
    )
    done = ask(config(server.url))
    assert (done.text, done.finish_reason) == (text, finish)


def test_content_none_and_empty_text_are_empty_answers(server: srv.Server) -> None:
    empty = {"choices": [{"index": 0, "finish_reason": "length", "message": {"content": None}}]}
    server.script(srv.reply(empty), srv.answer(""))
    assert ask(config(server.url)).text == ""
    assert ask(config(server.url, api="completions")).text == ""


@pytest.mark.parametrize(("reasoning", "content"), [("so [2]", "\n"), ("so [2]", ""), ("", "")])
def test_a_chat_without_an_answer_is_asked_again(server: srv.Server, reasoning: str, content: str) -> None:
    server.script(srv.answer(content, reasoning=reasoning), srv.answer("<answer>[1]</answer>"))
    assert ask(config(server.url, backoff=0.01)).text == "<answer>[1]</answer>"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reason", ["insufficient_system_resource", "network_error", "pause_turn", "load", "abort"]
)
def test_a_finish_reason_that_means_no_complete_answer_is_asked_again(
    server: srv.Server, reason: str
) -> None:
    server.script(srv.answer("[2] >", finish=reason), srv.answer("<answer>[2] > [1]</answer>"))
    assert ask(config(server.url, backoff=0.01)).text == "<answer>[2] > [1]</answer>"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("stop", "stop"), ("eos", "stop"), ("END_TURN", "stop"), ("COMPLETE", "stop"), ("eos_token", "stop"),
     ("length", "length"), ("MAX_TOKENS", "length"), ("model_length", "length")],
)  # fmt: skip
def test_finish_reasons_of_other_servers(server: srv.Server, sent: str, meant: str) -> None:
    server.always = srv.answer("<answer>[2] > [1]</answer>", finish=sent, completion_tokens=50)
    assert ask(config(server.url)).finish_reason == meant


def test_lone_surrogates_travel_as_replacement_characters(server: srv.Server) -> None:
    ask(config(server.url), Prompt(messages=({"role": "user", "content": "a\ud800b"},)))
    assert server.requests[0].body["messages"][0]["content"] == "a\N{REPLACEMENT CHARACTER}b"


# Life


def test_the_engine_opens_again_in_another_loop(server: srv.Server) -> None:
    engine = load_engine("openai", config(server.url))

    async def run() -> str:
        async with engine:
            return (await engine.complete(CHAT, SAMPLING)).text

    assert asyncio.run(run()) == asyncio.run(run())
    with pytest.raises(EngineError, match="not open"):
        asyncio.run(engine.complete(CHAT, SAMPLING))


def test_details_tell_what_serves(server: srv.Server) -> None:
    async def run() -> Any:
        async with load_engine("openai", config(server.url)) as engine:
            return await engine.describe()  # type: ignore[attr-defined]

    (known,) = asyncio.run(run())["servers"]
    assert known["version"] == "0.0.test"
    assert known["model"] == {"id": "tiny", "root": "/models/tiny", "max_model_len": 4096}
