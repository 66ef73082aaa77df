"""How `reasonrank serve` ends: what is under way is finished or cancelled, nothing new is taken."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from http_server import Exchange, Server, answer
from serve_kit import QUERY, TEXTS, ServeCommand, serve_command, until

GOOD = {"query": QUERY, "documents": TEXTS}


@contextmanager
def busy(*options: object) -> Iterator[tuple[ServeCommand, Server, threading.Event, Future[httpx.Response]]]:
    """A server with one request under way, which the model answers once the event is set."""
    go_on = threading.Event()

    async def held(exchange: Exchange) -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await answer()(exchange)

    with Server(always=held) as model, ThreadPoolExecutor(1) as pool:
        options = ("--model", "tiny", "--base-url", model.url, "--api", "chat", "--deadline", 300, *options)
        with serve_command(*options) as command:
            under_way = pool.submit(httpx.post, f"{command.url}/v1/rerank", json=GOOD, timeout=600)
            until(lambda: model.in_flight == 1)
            yield command, model, go_on, under_way


def refuses(command: ServeCommand) -> bool:
    """Whether connections are refused."""
    try:
        httpx.get(f"{command.url}/health", timeout=600)
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_finished_and_nothing_new_is_taken(number: int) -> None:
    with busy() as (command, _, go_on, under_way):
        command.process.send_signal(number)
        until(lambda: refuses(command))
        assert not under_way.done()
        go_on.set()
        assert under_way.result().status_code == 200
        assert command.wait() == 0
        assert "Traceback" not in command.log


def test_what_takes_too_long_is_cancelled_and_its_caller_reads_why() -> None:
    with busy("--stop-seconds", 1) as (command, model, _, under_way):
        assert command.end() == 0
        response = under_way.result()
        assert (response.status_code, response.json()["message"]) == (500, "the server is stopping")
        until(lambda: model.gone == 1)
        assert "Traceback" not in command.log


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    with busy("--stop-seconds", 600) as (command, model, _, under_way):
        command.process.send_signal(signal.SIGINT)
        until(lambda: refuses(command))
        assert command.end(signal.SIGINT) == 130
        assert "Traceback" not in command.log
        until(lambda: model.gone == 1)
        assert under_way.exception() is not None or not under_way.result().is_success


def test_no_text_is_in_the_log() -> None:
    with Server(models=["tiny"]) as model:
        options = ("--model", "tiny", "--base-url", model.url, "--api", "chat", "--engine-arg", "attempts=1")
        with serve_command(*options) as command:
            for path in ("/v1/rerank", "/v2/rerank"):
                assert httpx.post(f"{command.url}{path}", json=GOOD, timeout=600).status_code == 200
            wrong = {"query": QUERY, "texts": [1]}
            assert httpx.post(f"{command.url}/rerank", json=wrong, timeout=600).status_code == 400
            model.stop()
            assert httpx.post(f"{command.url}/v1/rerank", json=GOOD, timeout=600).status_code == 500
            assert command.end() == 0
    assert "request" in command.log
    assert not any(text in command.log for text in (QUERY, *TEXTS))


def test_a_server_for_everybody_says_so() -> None:
    with Server() as model:
        options = ("--model", "tiny", "--base-url", model.url, "--api", "chat", "--host", "0.0.0.0")
        with serve_command(*options) as command:
            assert "anyone who can reach 0.0.0.0 can use this server" in command.log
        with serve_command(*options, environment={"REASONRANK_SERVE_TOKENS": "a:one-secret"}) as command:
            port = command.url.rpartition(":")[2]
            url = f"http://127.0.0.1:{port}/v1/rerank"
            with httpx.Client(timeout=600) as client:
                assert client.post(url, json=GOOD).status_code == 401
                client.headers["Authorization"] = "Bearer one-secret"
                assert client.post(url, json=GOOD).status_code == 200
            command.end()
        assert "anyone" not in command.log
        assert "secret" not in command.log
