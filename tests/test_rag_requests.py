"""Open WebUI, Dify and RAGFlow: their requests against `reasonrank serve`, and what they read in its answers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from clients_kit import STEERED, STEERED_ENVIRONMENT, TOKEN, nano_case
from rag_requests import REQUESTS, RagRequest
from serve_kit import serve_command

CASES = pytest.mark.parametrize("request_of", REQUESTS, ids=lambda found: found.name.replace(", ", "-"))


@pytest.fixture(scope="module")
def nano() -> Iterator[httpx.Client]:
    """A server of the toy model."""
    with serve_command("--model", "nano", "--deadline", 300) as server, _client(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def steered() -> Iterator[httpx.Client]:
    """A server whose engine a query's words steer; its deadline is a second."""
    environment = {"PYTHONPATH": STEERED_ENVIRONMENT["PYTHONPATH"]}
    options = (*STEERED, "--deadline", 1)
    with serve_command(*options, environment=environment) as server, _client(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    """A server that wants a token; no failure comes after its deadline."""
    options = (*STEERED, "--deadline", 300)
    with serve_command(*options, environment=STEERED_ENVIRONMENT) as server, _client(server.url) as client:
        yield client


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=600)


def _post(client: httpx.Client, sent: RagRequest, query: str, token: str = "") -> httpx.Response:
    """The request with that token, else with somebody's where its program sends one."""
    key = token or ("of-somebody" if sent.token else "")
    headers = {**sent.headers, **({"Authorization": f"Bearer {key}"} if key else {})}
    return client.post(sent.path, json=sent.body(query, nano_case()[1]), headers=headers)


@CASES
def test_scores_give_the_order_of_the_library(request_of: RagRequest, nano: httpx.Client) -> None:
    query, documents, expected = nano_case()
    response = _post(nano, request_of, query)
    assert response.status_code == 200, response.text
    scores = request_of.scores(response.json(), len(documents))
    assert len(scores) == len(documents)
    assert all(0 < score <= 1 for score in scores)
    assert [documents[i] for i in sorted(range(len(documents)), key=lambda i: -scores[i])] == expected


@CASES
def test_without_the_token_the_status_and_the_text_say_so(
    request_of: RagRequest, guarded: httpx.Client
) -> None:
    response = _post(guarded, request_of, "x")
    assert response.status_code == 401
    assert "token" in response.json()["detail"]


@CASES
def test_at_the_deadline_all_documents_come_in_the_given_order(
    request_of: RagRequest, steered: httpx.Client
) -> None:
    response = _post(steered, request_of, "hang")
    assert response.status_code == 200, response.text
    scores = request_of.scores(response.json(), len(nano_case()[1]))
    assert scores == sorted(scores, reverse=True)


@CASES
def test_a_failed_model_is_a_500_with_its_reason(request_of: RagRequest, guarded: httpx.Client) -> None:
    response = _post(guarded, request_of, "break", TOKEN)
    assert (response.status_code, response.json()["detail"]) == (500, response.json()["message"])
    assert "model call failed" in response.json()["detail"]
