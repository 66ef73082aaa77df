"""Hostile requests against a real `reasonrank serve`: malformed bodies, broken HTTP, schemathesis."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clients_kit import STEERED, STEERED_ENVIRONMENT, TOKEN
from malformed_requests import CANARY, ERROR_KEYS, INSIDE, KINDS, fault, send
from serve_kit import ServeCommand, serve_command

REQUESTS = 20 * len(KINDS)
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def server() -> Iterator[ServeCommand]:
    """A server with a token, without a model."""
    with serve_command(*STEERED, environment=STEERED_ENVIRONMENT) as server:
        yield server


def test_malformed_requests_are_refused_with_a_clear_text(server: ServeCommand) -> None:
    sent, faults = send(server.url, REQUESTS, seed=0, token=TOKEN)
    assert sent.keys() == KINDS.keys()
    assert not faults, "\n".join(faults[:20])
    assert CANARY not in server.log


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (200, "this is fine and long enough"),
        (500, "the model call failed"),
        (400, "no"),
        (400, "KeyError: 'query' is missing"),
        (400, "see /usr/lib/python3/thing for more"),
        (400, f"the query {CANARY} is not text"),
        (400, "two\nlines of text"),
    ],
)
def test_answers_at_fault_are_found(status: int, message: str) -> None:
    answer = dict.fromkeys(ERROR_KEYS, message)
    assert fault(status, json.dumps(answer)) is not None
    assert (
        fault(400, json.dumps({**dict.fromkeys(ERROR_KEYS, "the query is not text"), "detail": [1]}))
        is not None
    )
    assert fault(400, json.dumps(dict.fromkeys(ERROR_KEYS, "the query is not text"))) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["tls", "no version", "length", "two lengths", "chunk", "long", "path"],
)
def test_broken_http_is_refused_and_shows_nothing(server: ServeCommand, sent: bytes) -> None:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"400", b"401", b"404", b"408", b"413", b"414", b"431"), answer[:200]
    assert not INSIDE.search(answer.decode())


@pytest.mark.slow
def test_the_openapi_document_is_true(server: ServeCommand, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if (program := shutil.which("schemathesis", path=path)) is None:
        pytest.skip("schemathesis is not installed: pip install 'reasonrank-pyserini[test]'")
    done = subprocess.run(
        [program, "--config-file", CONFIGURATION, "run", f"{server.url}/openapi.json",
         "--header", f"Authorization: Bearer {TOKEN}",
         "--checks", "all", "--max-examples", "30", "--seed", "1", "--no-color",
         "--request-timeout", "600", "--suppress-health-check", "too_slow"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
