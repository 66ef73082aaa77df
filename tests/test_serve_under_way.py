"""Requests under way: deadlines, callers that leave or share, figures, an engine that dies and comes back."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_server import Request, Server
from serve_kit import MODEL, QUERY, TEXTS, GatedEngine, backwards, scripted_reranker, served, serving, until

from reasonrank_pyserini import Query, Ranking, Reranker
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.errors import EngineDiedError
from reasonrank_pyserini.server import ServerSettings
from reasonrank_pyserini.server.admission import Admission
from reasonrank_pyserini.server.engine_health import TRIAL_PAUSE, EngineHealth
from reasonrank_pyserini.server.refusal import Refusal
from reasonrank_pyserini.server.server_settings import Token
from reasonrank_pyserini.types import Completion, Prompt, Sampling

GOOD = {"query": QUERY, "documents": TEXTS}
SOON = 0.2
"""A deadline that the engine of these tests never meets."""


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"deadline": SOON}, {}),
        ({}, {"X-Reasonrank-Deadline": str(SOON)}),
        ({"deadline": SOON}, {"X-Reasonrank-Deadline": "500"}),
    ],
)
def test_at_the_deadline_the_order_so_far_is_the_reply_and_says_so(
    fields: dict[str, Any], headers: dict[str, str]
) -> None:
    engine = GatedEngine()
    with served(engine) as client:
        response = client.post("/v1/rerank", json={**GOOD, **fields}, headers=headers)
        assert response.headers["x-reasonrank-cut-short"] == "true"
        found = response.json()
        assert found["meta"]["cut_short"] is True
        assert [result["index"] for result in found["results"]] == [0, 1, 2, 3]
        texts = client.post("/rerank", json={"query": QUERY, "texts": TEXTS, **fields}, headers=headers)
        assert texts.headers["x-reasonrank-cut-short"] == "true"
        assert [row["index"] for row in texts.json()] == [0, 1, 2, 3]
        until(lambda: engine.in_flight == 0)
        assert engine.cancelled == engine.asked
        assert "reasonrank_cut_short_total 2.0" in client.get("/metrics").text
        engine.open.set()
        whole = client.post("/v1/rerank", json=GOOD)
        assert "x-reasonrank-cut-short" not in whole.headers
        assert whole.json()["meta"]["cut_short"] is False


@pytest.mark.parametrize("deadline", [None, 500, 1e300])
def test_no_request_waits_longer_than_the_server_allows(deadline: float | None) -> None:
    settings = ServerSettings(MODEL, deadline=SOON, max_deadline=SOON)
    with served(GatedEngine(), settings) as client:
        found = client.post("/v1/rerank", json={**GOOD, "deadline": deadline}).json()
        assert found["meta"]["cut_short"] is True


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-1", "0"])
def test_a_deadline_header_that_is_not_a_number_is_400(text: str) -> None:
    with served(ScriptedEngine(backwards)) as client:
        response = client.post("/v1/rerank", json=GOOD, headers={"X-Reasonrank-Deadline": text})
        assert (response.status_code, "X-Reasonrank-Deadline" in response.json()["detail"]) == (400, True)


def leave(client: httpx.Client, meanwhile: Callable[[], bool]) -> None:
    """Post a request, wait for `meanwhile`, close the connection."""
    body = httpx.Request("POST", "http://x/", json=GOOD).content
    lines = (
        "POST /v1/rerank HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    head = "\r\n".join((*lines, "", ""))
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
        connection.sendall(head.encode() + body)
        until(meanwhile)


def test_a_caller_that_leaves_cancels_its_own_model_calls_alone() -> None:
    engine = GatedEngine()
    with served(engine) as client, ThreadPoolExecutor(1) as stays:
        answer = stays.submit(client.post, "/v1/rerank", json=GOOD)
        until(lambda: engine.in_flight == 1)
        for leavers in range(1, 4):
            leave(client, lambda: engine.in_flight == 2)
            until(lambda: engine.in_flight == 1 and engine.cancelled == leavers)  # noqa: B023
        engine.open.set()
        assert answer.result().status_code == 200
        counts = client.get("/metrics").text
        assert 'reasonrank_requests_total{shape="jina",status="499"} 3.0' in counts
        assert "reasonrank_requests_in_flight 0.0" in counts


def test_a_caller_that_leaves_within_its_body_is_forgotten() -> None:
    with served(ScriptedEngine(backwards)) as client:
        head = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
            connection.sendall(head)
        until(lambda: 'status="499"} 1.0' in client.get("/metrics").text)


def test_callers_with_tokens_share_the_engine_fairly() -> None:
    """Alice's six requests fill an engine of one call at a time; Bob's single request comes after two of them."""
    served_queries: list[str] = []

    def noted(prompt: Prompt, sampling: Sampling) -> Completion:
        served_queries.append(
            prompt.messages[-1]["content"].rpartition("Search Query: ")[2].partition(".")[0]
        )
        return backwards(prompt, sampling)

    engine = GatedEngine(noted, requests=1)
    tokens = (Token("alice", "a-secret"), Token("bob", "b-secret"))
    reranker = scripted_reranker(engine)
    gate = reranker.engine
    assert isinstance(gate, ThrottledEngine)
    asked = 0

    async def counted(prompt: Prompt, sampling: Sampling) -> Completion:
        nonlocal asked
        asked += 1
        return await ThrottledEngine.complete(gate, prompt, sampling)

    gate.complete = counted  # type: ignore[method-assign]
    settings = ServerSettings(MODEL, tokens=tokens)
    with serving(reranker, settings) as client, ThreadPoolExecutor(7) as pool:

        def post(secret: str, query: str) -> int:
            headers = {"Authorization": f"Bearer {secret}"}
            return client.post("/v1/rerank", json={**GOOD, "query": query}, headers=headers).status_code

        answers = [pool.submit(post, "a-secret", "alice") for _ in range(6)]
        until(lambda: asked == 6)
        answers.append(pool.submit(post, "b-secret", "bob"))
        until(lambda: asked == 7)
        engine.open.set()
        assert [answer.result() for answer in answers] == [200] * 7
    assert served_queries.index("bob") == 2, served_queries


def test_who_fills_the_server_keeps_nobody_else_out() -> None:
    admission = Admission(lambda: 4)
    places = [admission.place("greedy") for _ in range(4)]
    for place in places:
        place.__enter__()
    with pytest.raises(Refusal) as refused:
        admission.place("greedy").__enter__()
    assert refused.value.status == 429
    others = [admission.place("modest") for _ in range(2)]  # of two callers each has a place for 4 / 2
    for place in others:
        place.__enter__()
    with pytest.raises(Refusal):
        admission.place("modest").__enter__()
    assert admission.total == 4 + 2
    for place in (*places, *others):
        place.__exit__(None, None, None)
    assert (admission.total, dict(admission.under_way)) == (0, {})


def test_figures_count_what_was_done() -> None:
    with served(ScriptedEngine(backwards), size=2) as client:  # windows of 2, step 1: 3 for 4 documents
        for path in ("/v1/rerank", "/v2/rerank", "/v2/rerank"):
            assert client.post(path, json=GOOD).is_success
        client.post("/rerank", json={"query": QUERY, "texts": TEXTS})
        client.post("/rerank", json={})
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    for line in (
        'reasonrank_requests_total{shape="cohere",status="200"} 2.0',
        'reasonrank_requests_total{shape="jina",status="200"} 1.0',
        'reasonrank_requests_total{shape="tei",status="200"} 1.0',
        'reasonrank_requests_total{shape="jina",status="400"} 1.0',
        'reasonrank_request_seconds_count{shape="cohere"} 2.0',
        f"reasonrank_documents_total {4 * len(TEXTS)}.0",
        f'reasonrank_windows_total{{kind="judged"}} {4 * 3}.0',
        f'reasonrank_tokens_total{{kind="prompt"}} {4 * 3 * 100}.0',
        f'reasonrank_tokens_total{{kind="completion"}} {4 * 3 * 20}.0',
        "reasonrank_cut_short_total 0.0",
        "reasonrank_requests_in_flight 0.0",
        "reasonrank_requests_waiting 0.0",
        "reasonrank_ready 1.0",
    ):
        assert line in response.text.splitlines(), line


class Mortal:
    """A script that fails as long as `gone`; its health is asked with a clock that only `wait` puts forward."""

    def __init__(self) -> None:
        self.gone, self.now = False, 100.0
        self.engine = ScriptedEngine(self.script)

    def script(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if self.gone:
            raise EngineDiedError("it has stopped")
        return backwards(prompt, sampling)

    async def asked(self, health: EngineHealth, *, wait: float = 0.0) -> bool:
        """What is answered after so many seconds; then the trial, if one started, ends."""
        self.now += wait
        found = health.asked()
        await asyncio.sleep(0)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.002)
        return found


def test_an_engine_that_is_back_is_found_by_a_trial(tmp_path: Path) -> None:
    mortal = Mortal()
    engine = Recorded(mortal.engine, Journal(tmp_path))  # which must not answer in its place

    async def story() -> None:
        health = EngineHealth(reranker, lambda: mortal.now)
        assert await mortal.asked(health)
        mortal.gone = True
        health.failed(EngineDiedError("it has stopped"))
        assert not await mortal.asked(health)  # a trial fails
        assert not await mortal.asked(health, wait=TRIAL_PAUSE / 2)  # too soon for another
        assert mortal.engine.calls == 1
        for trials in (2, 3):
            assert not await mortal.asked(health, wait=TRIAL_PAUSE)
            assert mortal.engine.calls == trials
        mortal.gone = False
        assert not await mortal.asked(health, wait=TRIAL_PAUSE)  # this trial succeeds
        assert await mortal.asked(health)
        assert mortal.engine.calls == 4

    with scripted_reranker(engine) as reranker:
        asyncio.run(story())


@pytest.mark.parametrize("gone", [True, False])
def test_after_a_deadline_without_a_window_a_trial_shows_whether_the_engine_is_slow_or_gone(
    gone: bool,
) -> None:
    mortal = Mortal()
    mortal.gone = gone

    async def story() -> None:
        health = EngineHealth(reranker, lambda: mortal.now)
        health.answered(Ranking(Query("0", QUERY), (), cut_short=True))
        assert await mortal.asked(health)
        assert await mortal.asked(health, wait=TRIAL_PAUSE) is not gone
        assert mortal.engine.calls == (2 if gone else 1)

    with scripted_reranker(mortal.engine) as reranker:
        asyncio.run(story())


def test_a_server_of_the_model_that_dies_under_load_and_comes_back() -> None:
    hanging, flag = threading.Event(), threading.Event()

    def choose(request: Request) -> Any:
        return held if hanging.is_set() else None

    async def held(exchange: Any) -> None:
        while not flag.is_set():
            await asyncio.sleep(0.01)

    model = Server(choose=choose)
    options: dict[str, Any] = {"backoff": 0.01, "max_backoff": 0.02, "attempts": 2}
    with model:
        reranker = Reranker.from_pretrained("tiny", base_url=model.url, api="chat", engine_args=options)
        with serving(reranker) as client, ThreadPoolExecutor(4) as pool:
            assert client.post("/v1/rerank", json=GOOD).status_code == 200
            hanging.set()
            answers = [pool.submit(client.post, "/v2/rerank", json=GOOD) for _ in range(4)]
            until(lambda: model.in_flight == 4)
            model.stop()
            found = [answer.result() for answer in answers]
            assert {answer.status_code for answer in found} == {500}
            found.append(client.post("/v1/rerank", json=GOOD))
            assert found[-1].json()["error_type"] == "Unhealthy"
            assert not any(str(model.port) in answer.text for answer in found)
            assert client.get("/ready").status_code == 503
            assert client.get("/health").status_code == 200
            with Server(port=model.port):
                assert client.post("/v1/rerank", json=GOOD).status_code == 200
                assert client.get("/ready").status_code == 200
