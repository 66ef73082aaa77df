"""Refusals of many servers, gateways and proxies: which are tried again, and what the one line says."""

from __future__ import annotations

import json
from typing import Any

import http_server as srv
import pytest
from openai_kit import ask, config, failure, no_key, server

from reasonrank_pyserini.engines.openai.http_waiting import retry_after
from reasonrank_pyserini.errors import EngineDiedError

__all__ = ["no_key", "server"]  # fixtures

CONTEXT, FATAL = "do not fit the server's context", EngineDiedError


def page(code: int, title: str, **headers: str) -> srv.Behaviour:
    """An HTML page of a gateway."""

    async def behave(exchange: srv.Exchange) -> None:
        body = f"<html><head><title>{title}</title></head><body></body></html>".encode()
        await exchange.whole(code, body, {"Content-Type": "text/html", **headers})

    return behave


def plain(code: int, body: Any, **headers: str) -> srv.Behaviour:
    """A refusal whose body is text, or a JSON value that is not in OpenAI's form."""

    async def behave(exchange: srv.Exchange) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        await exchange.whole(code, text.encode(), {"Content-Type": kind, **headers})

    return behave


@pytest.mark.parametrize(
    "fault",
    [
        *map(srv.status, (408, 409, 421, 423, 424, 425, 429, 498, 499, 500, 504, 520, 524, 529)),
        page(502, "502 Bad Gateway"),
        page(503, ""),
        plain(503, "no healthy upstream"),
        plain(500, {"detail": "CUDA out of memory"}),
        srv.status(503, "Loading model", type="unavailable_error"),
        srv.status(429, headers={"Retry-After": "-3"}),
        srv.status(429, headers={"Retry-After": "0.01"}),
        srv.status(429, headers={"Retry-After": "soon"}),
        srv.status(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        srv.status(429, "Please try again in 6ms."),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again(server: srv.Server, fault: srv.Behaviour) -> None:
    server.script(fault)
    assert ask(config(server.url)).text.endswith("</answer>")
    assert len(server.requests) == 1 + 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        # context
        (srv.status(400, "The input (9 tokens) is longer than the model's context length (4 tokens)."), [CONTEXT]),
        (srv.status(400, "the request exceeds the available context size", code=400), [CONTEXT]),
        (srv.status(500, "the request exceeds the available context size"), ["HTTP 500", CONTEXT]),
        (srv.status(422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9 `inputs` tokens"), [CONTEXT]),
        (srv.status(400, "prompt is too long: 210000 tokens > 200000 maximum"), [CONTEXT]),
        (srv.status(400, "input length and `max_tokens` exceed context limit: 1 + 2 > 2"), [CONTEXT]),
        (plain(400, [{"error": {"message": "The input token count exceeds the maximum number of tokens allowed"}}]),
         [CONTEXT]),
        (srv.status(400, "Range of input length should be [1, 30720]"), [CONTEXT]),
        (srv.status(400, "Your request exceeded model token limit: 8192"), [CONTEXT]),
        (srv.status(400, "Please reduce the length of the messages or completion."), [CONTEXT]),
        (srv.status(413, "Request too large for model `x`"), ["HTTP 413", CONTEXT]),
        (page(413, "413 Request Entity Too Large"), ["HTTP 413: Request Entity Too Large", CONTEXT]),
        # new tokens
        (srv.status(400, "max_tokens is too large: 50. This model supports at most 40 completion tokens"),
         ["fewer `reasoning_tokens`"]),
        (srv.status(400, "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
         ["fewer `reasoning_tokens`"]),
        (srv.status(400, "`max_tokens` must be less than or equal to `8192`"), ["fewer `reasoning_tokens`"]),
        # fields
        (srv.status(400, "Unsupported value: 'temperature' does not support 0.6 with this model."),
         ["omit=temperature"]),
        (srv.status(400, "`temperature` and `top_p` cannot both be specified for this model"),
         ["omit=temperature,top_p"]),
        (srv.status(400, "property 'top_k' is unsupported"), ["send_extra=false"]),
        (plain(400, [{"error": {"code": 400, "message": 'Unknown name "min_p": Cannot find field.'}}]),
         ["send_extra=false"]),
        (plain(422, {"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}}),
         ["body.seed: Extra inputs", "omit=seed"]),
        (srv.status(400, "stream_options: unknown field"), ["omit=stream_options"]),
        # system role
        *((srv.status(400, words), ["`tokenizer`"]) for words in (
            "System role not supported",
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            "'system' role is not supported", 'messages: Unexpected role "system".',
            "Input tag 'system' found using 'role' does not match any of the expected tags: 'user', 'assistant'",
        )),
        # gateways
        (page(403, "Just a moment...", Server="cloudflare"), ["HTTP 403: Just a moment...", "web page of cloudflare"]),
        (page(401, "401 Authorization Required"), ["HTTP 401: Authorization Required", "web page"]),
        (page(400, "400 The plain HTTP request was sent to HTTPS port"), ["plain HTTP request was sent to HTTPS port"]),
        (plain(304, ""), ["HTTP 304", "redirect that names no address"]),
        # waits
        (srv.status(429, headers={"Retry-After": "1h30m"}), ["wait 5400 s", "max_wait"]),
        (srv.status(429, "Rate limit reached. Please try again in 7h3m2.5s."), ["wait 25382 s", "max_wait"]),
    ],
)  # fmt: skip
def test_what_stays_is_said_at_once(server: srv.Server, fault: srv.Behaviour, words: list[str]) -> None:
    server.always = fault
    message = failure(config(server.url))
    assert [word for word in words if word not in message] == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (plain(403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}), "no balance"),
        (srv.status(403, "Your team has either used all available credits or reached its spending limit"),
         "no balance"),
        (plain(402, "Payment Required"), "no balance"),
        (srv.status(400, "Your credit balance is too low to access the API"), "no balance"),
        (plain(200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}),
         "no balance"),
        (srv.status(400, "Model Not Exist"), "has no model 'other'.*tiny"),
        (srv.status(400, "Invalid model name passed in model=other. Call `/v1/models`"), "has no model 'other'.*tiny"),
        (srv.status(404, "model 'other' not found, try pulling it first"), "has no model 'other'.*tiny"),
        (srv.status(410, "gone"), "has no model 'other'.*tiny"),
        (srv.status(401, "no"), "OPENAI_API_KEY is not set"),
    ],
)  # fmt: skip
def test_what_no_other_window_can_pass_ends_the_run(
    server: srv.Server, fault: srv.Behaviour, words: str
) -> None:
    server.always = fault
    with pytest.raises(FATAL, match=words):
        ask(config(server.url, model="other", attempts=1))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("location", "words"),
    [("http://127.0.0.1:{port}/v1/chat/completions", "in a circle"), ("ftp://x/v1", "not http or https"),
     ("file:///etc/passwd", "not http or https")],
)  # fmt: skip
def test_a_redirect_that_leads_nowhere(server: srv.Server, location: str, words: str) -> None:
    port = server.url.removesuffix("/v1").rpartition(":")[2]
    server.always = plain(307, "", Location=location.format(port=port))
    with pytest.raises(FATAL, match=words):
        ask(config(server.url))


def test_a_redirect_to_another_server_that_gets_no_key(
    server: srv.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with srv.Server() as second:
        second.always = srv.status(401, "missing key")
        server.always = plain(308, "", Location=f"{second.url}/chat/completions")
        with pytest.raises(FATAL, match=rf"missing key \(redirected to {second.url.removesuffix('v1')}"):
            ask(config(server.url))


@pytest.mark.parametrize("name", ["/v1/v1", "/v1/chat", "/v1/responses", "/api"])
def test_an_address_with_a_wrong_path(server: srv.Server, name: str) -> None:
    server.models, server.always = (), srv.status(404, "Not Found")
    base = server.url.removesuffix("/v1")
    with pytest.raises(Exception, match="`base_urls`"):
        ask(config(base + name))


@pytest.mark.parametrize(
    ("header", "text", "seconds"),
    [("30", "", 30), ("0.5", "", 0.5), ("-5", "", 0), ("nan", "", 0), ("inf", "", 1e9), ("1m30s", "", 90),
     (" 7 ", "", 7), ("2 minutes", "", 120), ("Wed, 21 Oct 2015 07:28:00", "", 0),
     ("Wed, 21 Oct 9999 07:28:00 GMT", "", 1e9),
     ("soon", "", None), ("", "", None), ("", "Please retry in 37.2s.", 37.2), ("", "retry after 5 seconds", 5),
     ("", "try again in 3 attempts", None), ("", "try again in 2 months", None), ("3", "try again in 60s", 3)],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(header: str, text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}, text) == seconds


@pytest.mark.parametrize(
    "refusal", [srv.status(403, "no"), page(407, "Access Denied"), plain(404, ""), page(503, "Squid")]
)
def test_a_proxy_that_refuses_is_named(
    server: srv.Server, monkeypatch: pytest.MonkeyPatch, refusal: srv.Behaviour
) -> None:
    server.always = refusal
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    message = failure(config("http://gpu01.invalid:8000/v1", attempts=1))
    assert "http_proxy" in message
    assert "OPENAI_API_KEY" not in message
