"""The openai engine against a real HTTP server on loopback: what is sent and what comes back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import http_server as srv
import pytest
from openai_kit import CHAT, SAMPLING, ask, config, failure, no_key, server

from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.errors import EngineError, InputError, UnknownNameError
from reasonrank_pyserini.types import Prompt, Sampling

__all__ = ["no_key", "server"]  # fixtures

SECRET = "sk-very-secret-0123456789"

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


# Keys


def test_the_key_is_sent_and_never_shown(
    server: srv.Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", SECRET)
    setup = config(server.url, api_key_env="MY_KEY", attempts=2)
    server.script(srv.status(500, f"for {SECRET}"), srv.status(401, f"Incorrect API key: {SECRET}"))
    message = failure(setup)
    assert "MY_KEY" in message
    engine = load_engine("openai", setup)
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    shown = [message, repr(engine), repr(vars(engine)), repr(engine.identity), caplog.text]
    assert [text for text in shown if SECRET in text] == []


def test_without_a_key_our_own_server_gets_a_dummy_and_a_remote_one_nothing(server: srv.Server) -> None:
    ask(config(server.url))
    assert server.requests[0].headers["authorization"] == "Bearer none"
    with pytest.raises(InputError, match=r"no API key for https://api\.example\.org/v1.*OPENAI_API_KEY"):
        load_engine("openai", config("https://api.example.org/v1"))


def test_a_key_that_cannot_be_one_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two words")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        load_engine("openai", config("http://localhost:8000/v1"))
    assert "two words" not in str(caught.value)


# Bad input


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "not an http or https address.*`base_urls` http://localhost:8000/v1"),
        ("htps://api.openai.com/v1", "not an http or https address"),
        ("http:///v1", "not an http or https address"),
        ("http://host:port/v1", "cannot be read"),
        ("http://[::1/v1", "cannot be read"),
        ("http://a b/v1", "not an http or https address"),
        ("http://localhost:8000/v1/chat/completions", "give `base_urls` http://localhost:8000/v1$"),
        ("http://localhost:8000/v1?key=1", "must end with its path"),
        ("", "not an http or https address"),
    ],
)
def test_a_bad_address_is_one_line(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_engine("openai", config(url))
    assert "\n" not in str(caught.value)


def test_a_password_in_an_address_is_refused_unseen() -> None:
    with pytest.raises(InputError, match="into the environment") as caught:
        load_engine("openai", config("http://me:hunter2@localhost/v1"))
    assert "hunter2" not in str(caught.value)


def test_the_address_may_come_from_the_environment(
    server: srv.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="OPENAI_BASE_URL"):
        load_engine("openai", config())
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.removesuffix("/v1") + "/")
    assert ask(config()).text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"concurency": 8}, "did you mean 'concurrency'"),
        ({"concurrency": 0}, "concurrency=0 is not a whole number of at least 1"),
        ({"concurrency": True}, "concurrency=True"),
        ({"inactivity_timeout": -1}, "inactivity_timeout=-1 is not a number of seconds"),
        ({"inactivity_timeout": "soon"}, "inactivity_timeout='soon'"),
        ({"send_extra": "no"}, "neither true nor false"),
        ({"max_tokens_field": "max_token"}, "did you mean 'max_tokens'"),
        ({"api_key_env": "sk-123"}, "name of an environment variable"),
        ({"omit": 3}, "omit=3"),
        ({"omit": ["model"]}, "model cannot be left out"),
        ({"extra_body": "x"}, "not a JSON object"),
        ({"extra_body.temperature": 1}, "set by the sampling options"),
    ],
)
def test_bad_arguments_are_one_line(args: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_engine("openai", config("http://localhost:8000/v1", **args))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownNameError) == ("did you mean" in words)


LEAN = """
import asyncio, sys
from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.types import Prompt, Sampling

async def main():
    async with load_engine("openai", EngineConfig("tiny", base_urls=(sys.argv[1],), api="chat")) as engine:
        return await engine.complete(Prompt(messages=({"role": "user", "content": "[1] a"},)), Sampling())

assert asyncio.run(main()).text.endswith("</answer>")
heavy = {"torch", "transformers", "tokenizers", "pyserini", "jnius", "numpy", "pandas", "vllm"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_chat_completion_loads_nothing_heavy(server: srv.Server) -> None:
    command = [sys.executable, "-W", "error", "-c", LEAN, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# The environment


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirect_that_loses_the_request_is_named(server: srv.Server, code: int) -> None:
    server.always = srv.reply({}, code, headers={"Location": "https://elsewhere.example/v1/chat/completions"})
    with pytest.raises(EngineError, match=f"HTTP {code}: moved to https://elsewhere.example/v1 "):
        ask(config(server.url))
    assert len(server.requests) == 1


def test_a_server_that_counts_fewer_tokens_than_words_is_noted(
    server: srv.Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.always = srv.answer("<answer>[1]</answer>", prompt_tokens=200)
    prompt = Prompt(messages=({"role": "user", "content": "word " * 1000},))
    ask(config(server.url), prompt)
    assert "fewer than the messages have words" in caplog.text
    caplog.clear()
    ask(config(server.url), Prompt(messages=({"role": "user", "content": "word " * 200},)))
    assert "fewer than" not in caplog.text
