"""Requests that a server does not answer: each gets a clear status, one text under every name, no leak."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serve_kit import MODEL, QUERY, TEXTS, GatedEngine, backwards, served, until

from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import EngineDiedError, EngineError, InputError, JournalError
from reasonrank_pyserini.server import ServerLimits, ServerSettings, json_body
from reasonrank_pyserini.server.callers import tokens_of
from reasonrank_pyserini.server.server_settings import Token
from reasonrank_pyserini.types import Completion, Prompt, Sampling

JSON = {"Content-Type": "application/json"}
GOOD = {"query": QUERY, "documents": TEXTS}
LIMITS = ServerLimits(body=1_000_000, documents=10, query_characters=100, characters=5_000)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served(ScriptedEngine(backwards), ServerSettings(MODEL, limits=LIMITS)) as client:
        yield client


def error_of(response: httpx.Response) -> str:
    """The text of an error, which stands under every name."""
    body = response.json()
    assert body.keys() == {"message", "detail", "error", "error_type"}
    assert body["message"] == body["detail"] == body["error"]
    text: str = body["message"]
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"query": NaN}', "NaN is not valid JSON"),
        (b'{"query": "q", "documents": ["a"], "top_n": 1e999}', "too large"),
        (b'{"query": "q", "documents": ["a"], "top_n": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"query": "\\ud800", "documents": ["a"]}', "surrogate"),
        (b'{"query": "q", "documents": ["a", "\\uDFFF"]}', "surrogate"),
        (b'{"query": "\xff", "documents": ["a"]}', "not UTF-8"),
        (b'{"query": "\xed\xa0\x80", "documents": ["a"]}', "not UTF-8"),
        ('{"query": "q", "documents": ["a"]}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_body_that_is_not_a_json_object_of_texts_is_400(
    client: httpx.Client, body: bytes, said: str
) -> None:
    response = client.post("/v1/rerank", content=body, headers=JSON)
    assert (response.status_code, said in error_of(response)) == (400, True), response.text


def test_joined_surrogates_and_repeated_keys_are_fine(client: httpx.Client) -> None:
    body = b'{"query": "x", "query": "\\ud83d\\ude00", "documents": ["a"]}'
    assert client.post("/v1/rerank", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query": None}, "query is missing"),
        ({"query": 3}, "query is a number"),
        ({"query": " \n"}, "query is empty"),
        ({"documents": None}, "documents is missing"),
        ({"documents": "text"}, "documents is a text: give a list"),
        ({"documents": {"a": "b"}}, "documents is an object"),
        ({"documents": ["a", 3]}, "documents[1] is a number"),
        ({"documents": ["a", None]}, "documents[1] is missing"),
        ({"documents": ["a", ["b"]]}, "documents[1] is a list"),
        ({"documents": [{"url": "u"}]}, "documents[0] is an object without a text"),
        ({"documents": [{"text": 3}]}, "documents[0] is an object without a text"),
        (
            {"documents": [{"url": "a"}], "rank_fields": ["b"]},
            "documents[0] is an object without a text",
        ),
        ({"rank_fields": "text"}, "rank_fields must be a list"),
        ({"documents": None, "texts": ["a"]}, "`texts` is for /rerank"),
        ({"top_n": -1}, "top_n must be a whole number"),
        ({"top_n": 1.5}, "top_n must be a whole number"),
        ({"top_n": "3"}, "top_n must be a whole number"),
        ({"top_n": True}, "top_n must be a whole number"),
        ({"return_documents": "yes"}, "return_documents is a text: give true or false"),
        ({"reasoning": 1}, "reasoning is a number: give true or false"),
        ({"deadline": 0}, "deadline must be a number of seconds above 0"),
        ({"deadline": "5"}, "deadline must be a number of seconds above 0"),
        ({"deadline": False}, "deadline must be a number of seconds above 0"),
    ],
)
def test_a_field_that_cannot_be_used_is_400_and_named(
    client: httpx.Client, changed: dict[str, Any], said: str
) -> None:
    response = client.post("/v1/rerank", json={**GOOD, **changed})
    assert (response.status_code, said in error_of(response)) == (400, True), response.text


def test_a_text_of_tei_that_is_none_is_named(client: httpx.Client) -> None:
    response = client.post("/rerank", json={"query": "q", "texts": ["a", {"text": "b"}]})
    assert (response.status_code, error_of(response)) == (400, "texts[1] is an object: give a text")
    assert response.json()["error_type"] == "Validation"


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_a_body_that_is_not_declared_as_json_is_415(client: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/v1/rerank", content=json.dumps(GOOD).encode(), headers=headers)
    assert (response.status_code, "Content-Type: application/json" in error_of(response)) == (415, True)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/a+json"]
)
def test_json_by_other_spellings_is_taken(client: httpx.Client, kind: str) -> None:
    response = client.post("/v1/rerank", content=json.dumps(GOOD).encode(), headers={"Content-Type": kind})
    assert response.status_code == 200


def test_what_is_over_a_limit_is_413_and_the_limit_is_named(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:  # sent chunked: no length is announced
        for _ in range(30):
            yield b" " * 50_000

    for sent in ({"content": pieces(), "headers": JSON}, {"json": {**GOOD, "user": "x" * LIMITS.body}}):
        response = client.post("/v1/rerank", **sent)
        assert (response.status_code, str(LIMITS.body) in error_of(response)) == (413, True)
    for changed, limit in (
        ({"documents": ["a"] * 11}, LIMITS.documents),
        ({"query": "x" * 101}, LIMITS.query_characters),
        ({"documents": ["x" * 4950, "x" * 50]}, LIMITS.characters),
    ):
        response = client.post("/v1/rerank", json={**GOOD, **changed})
        assert (response.status_code, str(limit) in error_of(response)) == (413, True)


def test_other_pages_and_methods_say_what_there_is(client: httpx.Client) -> None:
    assert "/v1/rerank" in error_of(client.get("/v3/rerank"))
    wrong = client.get("/v1/rerank")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    error_of(wrong)


TOKENS = (Token("alice", "first-secret"), Token("bob", "second-secret"))


def test_a_token_is_needed_where_there_are_tokens(caplog: pytest.LogCaptureFixture) -> None:
    with served(ScriptedEngine(backwards), ServerSettings(MODEL, tokens=TOKENS)) as client:
        for headers in (
            {}, {"Authorization": "Bearer"}, {"Authorization": "Bearer wrong"}, {"Authorization": "first-secret"},
            {"Authorization": "Basic first-secret"}, {"Authorization": "Bearer first-secret2"},
        ):  # fmt: skip
            for path in ("/v1/rerank", "/v2/rerank", "/rerank"):
                response = client.post(path, json=GOOD, headers=headers)
                assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
                error_of(response)
            for path in ("/info", "/v1/models", "/metrics"):
                assert client.get(path, headers=headers).status_code == 401
        for secret in ("first-secret", "second-secret"):
            assert client.post(
                "/v1/rerank", json=GOOD, headers={"Authorization": f"bearer {secret}"}
            ).is_success
        assert [client.get(path).status_code for path in ("/health", "/ready", "/docs")] == [200] * 3
    assert "secret" not in caplog.text + repr(TOKENS)


def test_tokens_come_from_the_environment(tmp_path: Any) -> None:
    file = tmp_path / "tokens"
    file.write_text("carol:three\n")
    both = {"REASONRANK_SERVE_TOKENS": "a:one, b:two:x", "REASONRANK_SERVE_TOKENS_FILE": str(file)}
    assert tokens_of(both) == (Token("a", "one"), Token("b", "two:x"), Token("carol", "three"))
    assert tokens_of({}) == ()
    for wrong in ("hidden", "a:", ":hidden", "a:hiddén", "", " , "):
        with pytest.raises(InputError) as caught:
            tokens_of({"REASONRANK_SERVE_TOKENS": wrong})
        assert "hidd" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        tokens_of({"REASONRANK_SERVE_TOKENS_FILE": str(tmp_path / "none")})


def test_a_full_server_answers_429_at_once_with_retry_after() -> None:
    engine = GatedEngine(requests=2)
    with served(engine, ServerSettings(MODEL, queue=1)) as client, ThreadPoolExecutor(3) as others:

        def post(_: int = 0) -> httpx.Response:
            return httpx.post(f"{client.base_url}/v1/rerank", json=GOOD, timeout=600)

        answers = others.map(post, range(3))
        until(lambda: engine.in_flight == 2 and "in_flight 3.0" in client.get("/metrics").text)
        refused = post()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error_type"] == "Overloaded"
        error_of(refused)
        assert "waiting 1.0" in client.get("/metrics").text
        engine.open.set()
        assert [answer.status_code for answer in answers] == [200] * 3
        assert post().status_code == 200


@pytest.mark.parametrize(
    "error",
    [
        EngineError("http://10.0.0.1:8000/v1: HTTP 500 in /srv/models/secret"),
        EngineDiedError("vLLM died: /srv/models/secret"),
        JournalError("/srv/models/secret cannot be written"),
        ZeroDivisionError("about moths in /srv/models/secret"),
    ],
)
def test_a_failure_of_the_engine_is_500_and_leaks_nothing(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(prompt: Prompt, sampling: Sampling) -> Completion:
        raise error

    with served(ScriptedEngine(failing)) as client, caplog.at_level(logging.INFO):
        response = client.post("/v1/rerank", json=GOOD)
    assert response.status_code == 500
    text = error_of(response)
    assert not any(word in text for word in ("secret", "10.0.0.1", "Error", "Traceback"))
    assert response.headers["x-request-id"] in caplog.text
    assert not any(text in caplog.text for text in (QUERY, *TEXTS))


def test_an_engine_that_has_stopped_is_not_ready_until_it_is_back() -> None:
    gone = True

    def dying(prompt: Prompt, sampling: Sampling) -> Completion:
        if gone:
            raise EngineDiedError("it has stopped")
        return backwards(prompt, sampling)

    with served(ScriptedEngine(dying)) as client:
        assert client.get("/ready").status_code == 200
        assert client.post("/v1/rerank", json=GOOD).status_code == 500
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 503
        gone = False
        assert client.post("/v1/rerank", json=GOOD).status_code == 200
        assert client.get("/ready").status_code == 200


BYTES = st.binary(max_size=60)
PARTS = [
    b'{"query":', b'"q"', b',"documents":', b'["a","b"]', b"}", b'"\\ud800"', b"NaN", b"null", b"[", b"-", b'"texts":',
    b",", b"1e400", b"\xff", b"\x00", b'{"text":', b'"top_n":', b"3",
]  # fmt: skip
PIECES = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)


@given(BYTES | PIECES, st.sampled_from(["/v2/rerank", "/v1/rerank", "/rerank"]))
@settings(max_examples=300)
def test_no_body_is_a_failure_of_the_server(client: httpx.Client, body: bytes, path: str) -> None:
    response = client.post(path, content=body, headers=JSON)
    assert response.status_code in (200, 400, 413)
    if response.status_code != 200:
        error_of(response)


def test_a_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "BODY_SECONDS", 0.05)
    with served(ScriptedEngine(backwards)) as client:
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
            head = (
                "POST /v1/rerank HTTP/1.1",
                "Host: x",
                "Content-Type: application/json",
                "Content-Length: 9",
                "",
                "{",
            )
            connection.sendall("\r\n".join(head).encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        monkeypatch.undo()
        assert client.post("/v1/rerank", json=GOOD).status_code == 200
