"""Clients that people have, unchanged, against `reasonrank serve`: success, 401, 429, 500, and the deadline.

Those of the tests' own environment run always. Each other one (`-m long`) gets the environment that its versions need.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from client_table import CLIENTS, OWN, SNIPPETS, Client, python_of
from clients_kit import HEADERS, STEERED, STEERED_ENVIRONMENT, TOKEN, TOKENS, nano_case
from serve_kit import ServeCommand, serve_command, until
from steered_engine import REQUESTS, SECRET

DRIVER = Path(__file__).with_name("client_driver.py")
PATIENT = ("--deadline", 86_400, "--max-deadline", 86_400)
SAID = {"401": "bearer token", "429": "try again in", "500": "model call failed"}
"""A part of what the server says, by status."""


@pytest.fixture(scope="module")
def nano() -> Iterator[ServeCommand]:
    """A server of the toy model."""
    with serve_command("--model", "nano", *PATIENT, environment=TOKENS) as server:
        yield server


@pytest.fixture(scope="module")
def steered() -> Iterator[ServeCommand]:
    """A server whose engine a query's words steer; its deadline is a second."""
    with serve_command(*STEERED, "--deadline", 1, environment=STEERED_ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="module")
def patient() -> Iterator[ServeCommand]:
    """The same with a deadline that no failure comes after."""
    with serve_command(*STEERED, *PATIENT, environment=STEERED_ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="module")
def full() -> Iterator[ServeCommand]:
    """A server that is full: requests that do not end on the same day have all its places."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve_command(*STEERED, *PATIENT, environment=STEERED_ENVIRONMENT))
        for _ in range(REQUESTS):
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
            stack.callback(connection.close)
            body = json.dumps({"query": "hang", "documents": ["a", "b"]})
            connection.request("POST", "/v2/rerank", body, HEADERS)
        until(lambda: f"reasonrank_requests_in_flight {REQUESTS}.0" in _metrics(server))
        yield server


def _metrics(server: ServeCommand) -> str:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers=HEADERS)
        return connection.getresponse().read().decode()


def _cases() -> list[Any]:
    return [
        pytest.param(client, id=client.name, marks=() if client.environment == OWN else pytest.mark.long)
        for client in CLIENTS
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", _cases())
def test_client_gets_the_order_or_a_clear_error(
    client: Client, nano: ServeCommand, steered: ServeCommand, patient: ServeCommand, full: ServeCommand
) -> None:
    if client.environment == OWN and find_spec("cohere") is None:
        pytest.skip("cohere is not installed: pip install 'reasonrank-pyserini[test]'")
    query, documents, expected = nano_case()
    assert expected != documents
    success, wrong_token, hanging, broken, refused = _ask(
        client,
        (nano, TOKEN, query),
        (nano, "of-somebody-else", query),
        (steered, TOKEN, "hang"),
        (patient, TOKEN, "break"),
        (full, TOKEN, query),
    )
    assert success == {"ranked": expected}
    assert hanging == {"ranked": documents}
    for outcome, status in ((wrong_token, "401"), (refused, "429"), (broken, "500")):
        assert "error" in outcome, f"{status}: {outcome}"
        assert SAID[status] in outcome["text"] or not client.quotes, f"{status}: {outcome}"
        assert SECRET not in outcome["text"]


def _ask(client: Client, *calls: tuple[ServeCommand, str, str]) -> list[dict[str, Any]]:
    """The outcomes of calls with the nano documents, all in one process of the client's Python."""
    documents = nano_case()[1]
    task = {
        "snippet": str(client.file),
        "options": dict(client.options),
        "calls": [
            {"url": server.url, "token": token, "query": query, "documents": documents}
            for server, token, query in calls
        ],
    }
    done = subprocess.run(
        [str(python_of(client.environment)), str(DRIVER)],
        input=json.dumps(task),
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return outcomes


def test_every_snippet_has_a_client() -> None:
    assert {client.file for client in CLIENTS} == set(SNIPPETS.glob("*.py"))


@pytest.mark.parametrize("file", sorted(SNIPPETS.glob("*.py")), ids=lambda file: file.stem)
def test_a_snippet_is_short(file: Path) -> None:
    code = file.read_text().partition('"""\n')[2].strip().splitlines()
    assert len(code) <= 14
