"""The openai engine against a server that misbehaves."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import http_server as srv
import pytest
from openai_kit import CHAT, SAMPLING, ask, config, failure, no_key, server

from reasonrank_pyserini.engines import load_engine
from reasonrank_pyserini.errors import EngineDiedError, EngineError, ServersGoneError
from reasonrank_pyserini.types import Completion, Prompt

__all__ = ["no_key", "server"]  # fixtures

# Faults that pass


@pytest.mark.parametrize(
    "fault",
    [
        srv.status(500),
        srv.status(502, headers={"Content-Type": "text/html"}),
        srv.status(503),
        srv.status(429),
        srv.status(408),
        srv.reply({"error": {"message": "worker lost", "code": 500}}),
        srv.reply({"object": "error", "message": "worker lost", "code": 503}),
        srv.events({"error": {"message": "worker lost"}}),
        srv.close(),
        srv.cut(),
        srv.cut(clean=True),
        srv.events("[DONE]"),
        srv.events({"choices": []}, "[DONE]"),
        srv.events('{"choices": [{"ind'),
        srv.garbage(b"<html>busy</html>", "text/html"),
        srv.garbage(b'{"choices": [{"text": "abc"'),
        srv.garbage(b"[1, 2]"),
        srv.garbage(b"null"),
        srv.garbage(b""),
        srv.answer("half", finish="abort"),
    ],
)
@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_passing_fault_costs_one_more_request(server: srv.Server, fault: srv.Behaviour, api: str) -> None:
    server.script(fault)
    assert ask(config(server.url, api=api)).text.endswith("</answer>")
    assert len(server.requests) == 1 + 1


def test_retries_are_counted_by_kind(server: srv.Server) -> None:
    server.script(srv.status(500), srv.status(429), srv.cut(clean=True), srv.answer("half", finish="abort"))

    async def run() -> dict[str, Any]:
        async with load_engine("openai", config(server.url)) as engine:
            await engine.complete(CHAT, SAMPLING)
            details: dict[str, Any] = engine.details  # type: ignore[attr-defined]
            return details

    assert asyncio.run(run())["retries"] == {
        "HTTP 500": 1,
        "HTTP 429": 1,
        "broken answer": 1,
        "finish_reason 'abort'": 1,
    }


def test_retry_after_is_honoured(server: srv.Server) -> None:
    server.script(
        srv.status(429, headers={"Retry-After": "1"}), srv.status(503, headers={"retry-after-ms": "900"})
    )
    ask(config(server.url))
    first, second, third = (request.at for request in server.requests)
    assert second - first >= 1.0
    assert third - second >= 0.9  # and not 900 s, which `ask` does not wait for


def test_silence_is_distinguished_from_slowness(server: srv.Server, caplog: pytest.LogCaptureFixture) -> None:
    """The slow answer takes longer than the silence that is given up, and pauses for a tenth of that."""
    caplog.set_level("INFO")
    silence, slow = 1.5, "[1] > [2] > [3]"
    server.script(srv.trickle(slow, silence / 10))
    assert ask(config(server.url, inactivity_timeout=silence)).text == slow
    server.script(srv.hang(), srv.hang(after="<think> h"))
    assert ask(config(server.url, inactivity_timeout=silence)).text.endswith("</answer>")
    silences = [record for record in caplog.records if "(inactivity_timeout)" in record.getMessage()]
    assert len(silences) == 2
    while server.gone < 2:
        time.sleep(0.01)
    assert len(server.requests) == 1 + 3


def test_waiting_in_the_queue_of_a_busy_server_is_not_silence(server: srv.Server) -> None:
    silence = 1.5
    server.script(srv.trickle("x" * 15, silence / 10), srv.hang())

    async def run() -> int:
        async with load_engine("openai", config(server.url, inactivity_timeout=silence)) as engine:
            busy = asyncio.create_task(engine.complete(CHAT, SAMPLING))
            while not server.requests:
                await asyncio.sleep(0.01)
            waiting = asyncio.create_task(engine.complete(CHAT, SAMPLING))
            await busy
            seen = len(server.requests)
            await waiting
            return seen

    assert asyncio.run(run()) == 2


def test_a_complete_answer_is_not_asked_for_again(server: srv.Server) -> None:
    whole = {"choices": [{"index": 0, "delta": {"content": "[1]"}, "finish_reason": "stop"}]}
    server.script(srv.events(whole, "[DONE]", end=False), srv.events(whole, end=False))
    assert [ask(config(server.url)).text for _ in range(2)] == ["[1]", "[1]"]
    assert len(server.requests) == 2


# Faults that stay


def test_attempts_are_bounded(server: srv.Server) -> None:
    server.always = srv.status(500, "out of\nmemory")
    message = failure(config(server.url, attempts=4))
    assert "HTTP 500: out of memory" in message
    assert "4 attempts" in message
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (srv.status(400, "prompt is empty"), ["HTTP 400", "prompt is empty"]),
        (
            srv.status(400, "This model's maximum context length is 4096 tokens, max_tokens not allowed"),
            ["maximum context length is 4096", "`passage_tokens`"],
        ),
        (
            srv.status(400, "Unrecognized request argument supplied: top_k"),
            ["top_k", "`engine_args` send_extra=false"],
        ),
        (srv.status(422, "min_p: Extra inputs are not permitted"), ["min_p", "send_extra=false"]),
        (
            srv.reply({"detail": [{"loc": ["body", "min_p"], "msg": "Extra inputs are not permitted"}]}, 422),
            ["HTTP 422: body.min_p: Extra inputs", "send_extra=false"],
        ),
        (srv.status(400, "unsupported parameter: 'seed'"), ["`engine_args` omit=seed"]),
        (
            srv.status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ["max_tokens_field=max_completion_tokens"],
        ),
        (srv.status(401, "bad key"), ["HTTP 401", "OPENAI_API_KEY", "is not set"]),
        (srv.status(403, "no"), ["HTTP 403", "OPENAI_API_KEY"]),
        (srv.status(429, "pay first", code="insufficient_quota"), ["no quota left", "OPENAI_API_KEY"]),
        (srv.status(429, headers={"Retry-After": "86400"}), ["86400 s", "max_wait"]),
        (srv.reply({"error": {"message": "bad request", "code": 400}}), ["HTTP 400", "bad request"]),
        (srv.answer("half", finish="content_filter"), ["content filter"]),
    ],
)
def test_a_lasting_fault_is_reported_at_once(
    server: srv.Server, fault: srv.Behaviour, words: list[str]
) -> None:
    server.always = fault
    message = failure(config(server.url))
    assert [word for word in words if word not in message] == []
    assert len(server.requests) == 1


def test_an_unknown_model_lists_what_the_server_has(server: srv.Server) -> None:
    server.models = ("reasonrank-7B", "qwen3")
    server.always = srv.status(404, "The model `reasonrank-7b` does not exist.")
    with pytest.raises(EngineDiedError, match=r"did you mean 'reasonrank-7B'.*reasonrank-7B, qwen3"):
        ask(config(server.url, model="reasonrank-7b"))


def test_a_server_without_token_ids_is_reported(server: srv.Server) -> None:
    server.always = srv.status(400, "prompt must be a string")
    assert "`api` chat" in failure(config(server.url, api="completions"))


def test_a_missing_page_names_the_other_mode(server: srv.Server) -> None:
    server.always = srv.status(404, "Not Found")
    assert "`api` chat" in failure(config(server.url, api="completions"))


def test_an_absent_server_is_reported_soon(server: srv.Server) -> None:
    server.stop()
    with pytest.raises(EngineDiedError, match=rf"no server answers at {server.url}.*3 attempts"):
        ask(config(server.url))


def test_a_quietly_cut_prompt_or_answer_is_an_error(server: srv.Server) -> None:
    server.script(srv.answer("[1]", prompt_tokens=3), srv.answer("[1]", finish="length", completion_tokens=6))
    assert "read 3 of 4 prompt tokens" in failure(config(server.url, api="completions"))
    assert "stopped after 6 of 50 tokens" in failure(config(server.url))


def test_a_server_that_repeats_the_prompt_is_an_error(server: srv.Server) -> None:
    words = " ".join(f"word{number}" for number in range(50))
    prompt = Prompt(token_ids=(5, 6, 7, 8), text=f"<|im_start|>user\n{words}<|im_end|>\n")
    server.always = srv.answer(f"user\n{words}\n[2] > [1]")
    with pytest.raises(EngineError, match="repeats the prompt"):
        ask(config(server.url, api="completions"), prompt)


@pytest.mark.parametrize(
    ("text", "counted", "cut"),
    [("word " * 700, 600, 1), ("word " * 700, 640, 0), ("机器学习模型" * 500, 900, 1), ("机器学习模型" * 500, 1100, 0),
     ("x" * 24_000, 900, 1), ("https://a.example/" + "b" * 20, 5, 0)],
)  # fmt: skip
def test_a_prompt_that_a_chat_server_evidently_cut_is_counted(
    server: srv.Server, text: str, counted: int, cut: int
) -> None:
    server.always = srv.answer("<answer>[1]</answer>", prompt_tokens=counted)

    async def run() -> int:
        async with load_engine("openai", config(server.url)) as engine:
            await engine.complete(Prompt(messages=({"role": "user", "content": text},)), SAMPLING)
            details: dict[str, Any] = engine.details  # type: ignore[attr-defined]
            return int(details["cut_prompts"])

    assert asyncio.run(run()) == cut


def test_a_server_that_dies_half_way(server: srv.Server) -> None:
    server.script(srv.answer("[1]"))
    server.always = srv.hang(after="<think> h")

    async def run() -> list[Completion | BaseException]:
        async with load_engine("openai", config(server.url, attempts=4)) as engine:
            first = await engine.complete(CHAT, SAMPLING)
            tasks = [asyncio.create_task(engine.complete(CHAT, SAMPLING)) for _ in range(5)]
            while server.in_flight < 5:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop)
            return [first, *await asyncio.gather(*tasks, return_exceptions=True)]

    first, *others = asyncio.run(asyncio.wait_for(run(), 600))
    assert isinstance(first, Completion)
    assert [type(other) for other in others] == [ServersGoneError] * 5
    assert all("no server answers" in str(other) for other in others)
