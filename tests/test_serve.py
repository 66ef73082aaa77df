"""`reasonrank serve` with the toy model: the same orders over HTTP as in process, and the pages about the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from commands import reasonrank
from serve_kit import ServeCommand, serve_command

from reasonrank_pyserini import Reranker, __version__
from reasonrank_pyserini.datasets.nano.world import World

WORLD = World.load()
TOPICS = WORLD.topics("test")[:2]
COUNT, DEPTH = 25, 20
"""Documents of a request, and how many of them are reranked: three windows."""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    journal = tmp_path_factory.mktemp("serve") / "journal"
    with serve_command("--model", "nano", "--journal", journal, "--deadline", 120) as command:
        yield command


@pytest.fixture(scope="module")
def client(command: ServeCommand) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=command.url, timeout=600) as client:
        yield client


@pytest.fixture(scope="module")
def requests() -> dict[str, list[str]]:
    """The documents of each topic, the relevant ones last."""
    texts = {document.id: document.text for document in WORLD.documents}
    found = {}
    for topic in TOPICS:
        relevant = [id for id, grade in WORLD.qrels("test")[topic.id].items() if grade]
        others = [id for id in texts if id not in relevant][: COUNT - len(relevant)]
        found[topic.text] = [texts[id] for id in (*others, *relevant)][:COUNT]
    return found


@pytest.fixture(scope="module")
def in_process(requests: dict[str, list[str]]) -> dict[str, list[int]]:
    """The positions of each query's documents as the library ranks them."""
    with Reranker.from_pretrained("nano", depth=DEPTH) as reranker:
        return {
            query: [int(id) - 1 for id in reranker.rerank(query, documents).ids]
            for query, documents in requests.items()
        }


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/rerank", "/rerank"])
def test_the_orders_are_those_of_the_library(
    client: httpx.Client, requests: dict[str, list[str]], in_process: dict[str, list[int]], path: str
) -> None:
    for query, documents in requests.items():
        found = client.post(path, json={"query": query, "documents": documents}).json()["results"]
        assert [result["index"] for result in found] == in_process[query]
        assert [result["relevance_score"] for result in found] == [(COUNT - p) / COUNT for p in range(COUNT)]


def test_the_orders_are_those_of_the_library_for_tei(
    client: httpx.Client, requests: dict[str, list[str]], in_process: dict[str, list[int]]
) -> None:
    for query, documents in requests.items():
        found = client.post("/rerank", json={"query": query, "texts": documents}).json()
        assert [row["index"] for row in found] == in_process[query]


def test_documents_as_objects_are_ranked_by_their_texts(
    client: httpx.Client, requests: dict[str, list[str]], in_process: dict[str, list[int]]
) -> None:
    for query, documents in requests.items():
        records = [{"text": text, "source": str(i)} for i, text in enumerate(documents)]
        found = client.post("/v1/rerank", json={"query": query, "documents": records}).json()["results"]
        assert [int(result["document"]["source"]) for result in found] == in_process[query]


def test_a_repeated_request_is_answered_by_the_journal(client: httpx.Client) -> None:
    asked = {"query": "asked twice", "documents": ["one", "two"]}
    first, second = (client.post("/v1/rerank", json=asked).json() for _ in range(2))
    windows = [found["meta"]["windows"] for found in (first, second)]
    assert [(window["judged"], window["cached"]) for window in windows] == [(1, 0), (1, 1)]
    assert first["results"] == second["results"]
    assert first["usage"] == second["usage"]


def test_pages_say_what_is_served(client: httpx.Client) -> None:
    assert client.get("/health").json() == client.get("/ready").json() == {"status": "ok"}
    (model,) = client.get("/v1/models").json()["data"]
    assert model["id"] == "nano"
    info = client.get("/info").json()
    assert (info["model_id"], info["version"], info["settings"]["depth"]) == ("nano", __version__, DEPTH)
    assert info["deadline"] == 120
    assert info["max_client_batch_size"] == info["limits"]["documents"] == 1000
    assert "/v2/rerank" in client.get("/docs").text
    described = client.get("/openapi.json").json()
    assert described["paths"].keys() >= {"/rerank", "/v1/rerank", "/v2/rerank", "/health", "/metrics"}


def test_no_header_lets_other_sites_call(client: httpx.Client) -> None:
    response = client.options(
        "/v1/rerank", headers={"Origin": "http://x", "Access-Control-Request-Method": "POST"}
    )
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_port_that_is_taken_is_said_before_the_model_loads(command: ServeCommand) -> None:
    port = command.url.rpartition(":")[2]
    done = reasonrank("serve", "--model", "nano", "--port", port)
    assert (done.returncode, "give another --host or --port" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give --model M"),
        (("--model", "nano", "--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid"),
        (("--model", "nano", "--depth", 0), "depth is 0"),
        (("--model", "nano", "--deadline", "inf"), "--deadline is inf"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_2(options: tuple[object, ...], said: str) -> None:
    done = reasonrank("serve", *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_tokens_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    environment = {"REASONRANK_SERVE_TOKENS": "no-name"}
    done = reasonrank("serve", "--model", "nano", environment=environment)
    assert (done.returncode, "name:token" in done.stderr, "no-name" in done.stderr) == (2, True, False)


def test_the_openapi_document_names_every_page(client: httpx.Client) -> None:
    """But for itself: pages that it names answer, with its media type; others are 404."""
    described = client.get("/openapi.json").json()
    for path, operations in described["paths"].items():
        (method,) = operations
        response = client.request(method, path, json={} if method == "post" else None)
        assert str(response.status_code) in operations[method]["responses"], path
        said = operations[method]["responses"][str(response.status_code)]["content"]
        assert response.headers["content-type"].partition(";")[0] in said
    assert client.get("/docs").status_code == 200
    assert client.get("/redoc").status_code == 404
