"""The openai engine: keys, addresses, arguments and the environment."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import http_server as srv
import pytest
from openai_kit import ask, config, failure, no_key, server

from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.errors import EngineError, InputError, UnknownNameError
from reasonrank_pyserini.types import Prompt

__all__ = ["no_key", "server"]  # fixtures

SECRET = "sk-very-secret-0123456789"

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
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
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
